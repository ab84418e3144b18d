"""How refusals become errors, and how little of their text is kept."""

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import exporter
from exporter.source.redaction import Redaction
from exporter.source.responses import RequestContext, error_from_response
from exporter.source.retry import Transient
from tests.support.api import Api, Request

TOKEN = "dG9rOnRlc3Q="
URL = "https://api.eu.intercom.io"


def judge(status: int, body: bytes = b"", path: str = "/contacts", **headers: str) -> exporter.SourceError | Transient:
    """Judge an answer; an underscore in a header's name is a hyphen."""
    asked = RequestContext(URL, path, Redaction(TOKEN))
    return error_from_response(status, {name.replace("_", "-"): value for name, value in headers.items()}, body, asked)


def envelope(**error: Any) -> bytes:
    """Give Intercom's error envelope."""
    return json.dumps({"type": "error.list", "request_id": "in-body", "errors": [error]}).encode()


def texts(error: BaseException | None) -> list[str]:
    """Collect all that an error and its causes say."""
    found = []
    while error is not None:
        attributes = [getattr(error, name, None) for name in ("status", "code", "request_id", "detail")]
        found += [str(error), repr(error), *map(str, attributes)]
        error = error.__cause__
    return found


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (300, exporter.ApiError),
        (308, exporter.ApiError),
        (400, exporter.ApiError),
        (401, exporter.CredentialsError),
        (403, exporter.CredentialsError),
        (404, exporter.ApiError),
        (410, exporter.ApiError),
        (422, exporter.ApiError),
        (499, exporter.ApiError),
    ],
)
def test_refusal_status_decides_the_error_type(status: int, kind: type[exporter.SourceError]) -> None:
    """The type of the error says whether the credentials or the request have to change."""
    error = judge(status, envelope(code="c", message="m"))
    assert type(error) is kind
    assert isinstance(error, exporter.SourceError)
    assert (error.status, error.code, error.request_id) == (status, "c", "in-body")
    assert str(error).startswith(f"the API answered {status} c: m: ")


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504, 520, 599])
def test_statuses_that_may_pass_are_transient(status: int) -> None:
    """Time-outs, the rate limit and all server errors are worth another attempt."""
    failure = judge(status, b"<html>", X_Request_Id="id", Retry_After="4")
    assert isinstance(failure, Transient)
    assert (failure.cause, failure.status, failure.request_id, failure.wait_s) == (f"http_{status}", status, "id", 4.0)


@pytest.mark.parametrize("status", [201, 202, 204, 206])
def test_success_without_a_page_is_a_broken_page(status: int) -> None:
    """Only a 200 has a page."""
    failure = judge(status)
    assert isinstance(failure, Transient)
    assert failure.cause == "broken_body"


def test_refused_token_error_names_the_regions() -> None:
    """The advice names the region's address, since that is a frequent cause."""
    assert URL in str(judge(401))
    assert "region" in str(judge(401))


def test_request_id_is_taken_from_the_header_first() -> None:
    """Both places are known; without either there is none."""
    for body, headers, expected in (
        (envelope(), {"X_Request_Id": "in-header"}, "in-header"),
        (envelope(), {}, "in-body"),
        (b"", {}, None),
    ):
        assert judge(404, body, **headers).request_id == expected


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html><body>Bad gateway</body></html>",
        b"[]",
        b"null",
        b'"text"',
        b"{}",
        b'{"errors":null}',
        b'{"errors":[]}',
        b'{"errors":[{}]}',
        b'{"errors":[{"code":5}]}',
        b'{"errors":["x"]}',
        b'{"errors":[{"code":null,"message":null}],"request_id":null}',
        b'{"errors":[{"code":"cut',
        b"[" * 100_000,
        b'{"errors":' + b"[" * 100_000,
        b'{"errors":[{"x":' + b"[" * 100_000,
    ],
    ids=lambda body: repr(body[:30]),
)
def test_response_with_any_body_is_judged_by_its_status(body: bytes) -> None:
    """Gateways answer with anything; the status is enough."""
    error = judge(404, body)
    assert isinstance(error, exporter.ApiError)
    assert error.code is None


@pytest.mark.parametrize("body", [b"\xff", b'{"errors":[{"code":"\xff"}]}', b'{"\xff":1}', b"Gr\xfc\xdfe"])
def test_response_that_is_not_utf8_is_judged_by_its_status(body: bytes) -> None:
    """A gateway's page in another encoding is no reason to fail otherwise."""
    assert type(judge(404, body)) is exporter.ApiError
    assert isinstance(judge(503, body), Transient)


@given(st.text(max_size=50), st.text(max_size=300), st.text(max_size=300))
def test_error_text_is_short_and_printable(code: str, message: str, request_id: str) -> None:
    """Whatever a server says comes out short and without control characters."""
    error = judge(404, envelope(code=code, message=message), X_Request_Id=request_id)
    assert isinstance(error, exporter.ApiError)
    assert all(part is None or part.isprintable() for part in (str(error), error.code, error.request_id))
    assert "\n" not in str(error)


def test_control_characters_in_error_text_are_escaped() -> None:
    """An escape sequence, a line end or a change of direction is spelled out."""
    assert Redaction(TOKEN).printable("a\x1b[31m\r\n\u202eb\x00é") == r"a\x1b[31m\r\n\u202eb\x00é"
    assert len(Redaction(TOKEN).printable("x" * 10_000)) == 200


@pytest.mark.parametrize("padding", ["", "x" * 190, "\x1b" * 190, "[token]"])
def test_error_text_never_contains_the_token(padding: str) -> None:
    """A server that echoes the token gets it into no text, not in part either."""
    echo = padding + TOKEN
    error = judge(401, envelope(code=echo, message=f"{echo}{echo}"), X_Request_Id=echo)
    assert not [text for text in texts(error) if TOKEN[:8] in text]


LONG = base64.b64encode(b"tok:0f9c1d52_3b7a_4f0e_9d66_a1b2c3d4e5f6:1:0").decode()


@pytest.mark.parametrize(
    "echo",
    [
        LONG[:20],
        LONG[-20:],
        LONG[9:30],
        "".join(f"&#{ord(character)};" for character in LONG),
        "".join(f"%{ord(character):02x}" for character in LONG),
        "".join(f"%25{ord(character):02x}" for character in LONG),
        "".join(f"%2525{ord(character):02x}" for character in LONG),
        "".join(f"&amp;#{ord(character)};" for character in LONG),
        "-".join(LONG),
        "".join(f"\\u00{ord(character):02x}" for character in LONG),
        "".join(f"\\x{ord(character):02x}" for character in LONG),
        "".join(chr(ord(character) + 0xFEE0) if character.isalnum() else character for character in LONG),
        LONG.encode().hex(),
        base64.b64decode(LONG).decode().upper(),
        *(base64.b64encode(f"{before}{LONG}".encode()).decode() for before in ("Bearer ", ":", "x:", '{"token":"')),
        "&#" + "9" * 1_000 + ";" + "".join(f"&#{ord(character)};" for character in LONG),
    ],
)
def test_part_or_other_spelling_of_the_token_is_redacted(echo: str) -> None:
    """Twelve characters in a row are enough, however often they were escaped."""
    assert Redaction(LONG).printable(f"no {echo}") == "[withheld: it holds the token]"


@pytest.mark.parametrize("text", ["&#" + "9" * 5_000 + ";", "&" * 100_000, "%" * 100_000, "\\u" * 50_000, "&a" * 5_000])
def test_redaction_of_any_text_never_fails(text: str) -> None:
    """Neither its length nor its escapes end in an error; it is searched as far as it may be shown."""
    assert len(Redaction(LONG).printable(text)) <= 200
    Redaction(LONG).finds_token(text)


def test_words_with_the_common_token_prefix_are_not_redacted() -> None:
    """Every token of Intercom's begins alike."""
    assert Redaction(LONG).printable(f"a token begins with {LONG[:8]}") == f"a token begins with {LONG[:8]}"


async def test_token_echoed_by_the_server_is_in_no_error_or_event() -> None:
    """Status, code, message, request id, version and broken HTTP: no error, cause or event repeats the token."""

    def answer(request: Request) -> bytes:
        echo = request.headers["authorization"].removeprefix("Bearer ")
        if request.number == 1:
            return f"HTTP/1.1 {echo} {echo}\r\n{echo}: {echo}\r\n\r\n".encode()
        headers = {"X_Request_Id": echo, "Intercom_Version": echo, "Retry_After": "0", "Location": f"/{echo}"}
        if request.number == 5:
            return request.page("c2", **headers)
        status = {2: 503, 3: 200, 4: 429}.get(request.number, 401)
        return request.error(status, echo, f"{echo} {base64.b64encode(b'x').decode()}", **headers)

    events: list[exporter.Event] = []
    retry_policy = exporter.RetryPolicy(initial_backoff_s=0.001)
    async with (
        Api(answer) as server,
        exporter.Intercom(TOKEN, base_url=server.base_url, retry_policy=retry_policy) as intercom,
    ):
        pages = intercom.pages(observer=events.append)
        await anext(pages)
        with pytest.raises(exporter.CredentialsError) as caught:
            await anext(pages)
    assert len(server.requests) == 6
    assert pages.traffic.version_echoed == "[token]"
    assert [type(event).__name__ for event in events].count("RetryScheduled") == 4
    assert not [text for text in [*texts(caught.value), *map(repr, events)] if TOKEN in text]
    assert TOKEN not in repr(intercom)


@pytest.mark.parametrize(
    ("path", "named", "permission"),
    [
        ("/contacts", "contacts", "Read and list users and companies"),
        ("/contacts/{id}/notes", "/contacts/{id}/notes", "Read one user and one company"),
        ("/contacts/{id}/companies", "/contacts/{id}/companies", "Read and list users and companies"),
        ("/tags", "/tags", "Read tags"),
        ("/contacts/{id}/tags", "/contacts/{id}/tags", "Read tags"),
        ("/data_attributes", "/data_attributes", "Read content data"),
    ],
)
def test_refusal_of_a_forbidden_endpoint_names_it_and_the_permission(path: str, named: str, permission: str) -> None:
    """A 403 says what may not be read, and which permission of the app is missing."""
    error = judge(403, envelope(code="forbidden"), path=path)
    assert str(error).endswith(f"the token may not read {named}: give its app the permission {permission!r}")


def test_refusal_of_a_restricted_plan_does_not_ask_for_a_permission() -> None:
    """A permission does not help where the workspace's plan lacks the endpoint."""
    error = judge(403, envelope(code="api_plan_restricted"), path="/tags")
    assert str(error).endswith("the workspace's plan does not include /tags")


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize(
    ("body", "headers"),
    [(b"\n <!DOCTYPE html><h1>Forbidden</h1>", {}), (b"", {"Content_Type": "text/HTML; charset=utf-8"})],
)
def test_refusal_by_a_web_page_blames_a_firewall(status: int, body: bytes, headers: dict[str, str]) -> None:
    """A web page comes from a firewall or gateway: neither token nor permissions are at fault."""
    error = judge(status, body, **headers)
    assert type(error) is exporter.CredentialsError
    assert f"the API answered {status}: a firewall or gateway refused the request for /contacts" in str(error)
    assert "permission" not in str(error)
    assert "check that the token" not in str(error)
