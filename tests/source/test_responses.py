"""How error responses become exceptions, and which part of their text is kept."""

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


def error_for(
    status: int, body: bytes = b"", path: str = "/contacts", **headers: str
) -> exporter.SourceError | Transient:
    """Return the error for a response; an underscore in a header's name is a hyphen."""
    context = RequestContext(URL, path, Redaction(TOKEN))
    return error_from_response(
        status, {name.replace("_", "-"): value for name, value in headers.items()}, body, context
    )


def envelope(**error: Any) -> bytes:
    """Return Intercom's error envelope."""
    return json.dumps({"type": "error.list", "request_id": "in-body", "errors": [error]}).encode()


def all_texts(error: BaseException | None) -> list[str]:
    """Collect all texts of an error and its causes."""
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
    error = error_for(status, envelope(code="c", message="m"))
    assert type(error) is kind
    assert isinstance(error, exporter.SourceError)
    assert (error.status, error.code, error.request_id) == (status, "c", "in-body")
    assert str(error).startswith(f"the API answered {status} c: m: ")


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504, 520, 599])
def test_timeouts_rate_limits_and_server_errors_are_transient(status: int) -> None:
    """These statuses are worth another attempt."""
    failure = error_for(status, b"<html>", X_Request_Id="id", Retry_After="4")
    assert isinstance(failure, Transient)
    assert (failure.cause, failure.status, failure.request_id, failure.wait_s) == (f"http_{status}", status, "id", 4.0)


@pytest.mark.parametrize("status", [201, 202, 204, 206])
def test_success_status_without_a_page_is_a_broken_body(status: int) -> None:
    """A success status without a page is a transient failure."""
    failure = error_for(status)
    assert isinstance(failure, Transient)
    assert failure.cause == "broken_body"


def test_error_for_refused_token_names_the_region() -> None:
    """The message names the region's address, because a wrong region is a frequent cause."""
    assert URL in str(error_for(401))
    assert "region" in str(error_for(401))


def test_request_id_is_taken_from_the_header_first() -> None:
    """The header comes before the body; without either there is no request id."""
    for body, headers, expected in (
        (envelope(), {"X_Request_Id": "in-header"}, "in-header"),
        (envelope(), {}, "in-body"),
        (b"", {}, None),
    ):
        assert error_for(404, body, **headers).request_id == expected


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
def test_error_response_with_any_body_is_classified_by_its_status(body: bytes) -> None:
    """Gateways send any body; the status is enough."""
    error = error_for(404, body)
    assert isinstance(error, exporter.ApiError)
    assert error.code is None


@pytest.mark.parametrize("body", [b"\xff", b'{"errors":[{"code":"\xff"}]}', b'{"\xff":1}', b"Gr\xfc\xdfe"])
def test_error_response_that_is_not_utf8_is_classified_by_its_status(body: bytes) -> None:
    """A gateway's page in another encoding does not change the error."""
    assert type(error_for(404, body)) is exporter.ApiError
    assert isinstance(error_for(503, body), Transient)


@given(st.text(max_size=50), st.text(max_size=300), st.text(max_size=300))
def test_error_text_of_any_response_is_printable(code: str, message: str, request_id: str) -> None:
    """Whatever a server sends, the text of the error has no control characters."""
    error = error_for(404, envelope(code=code, message=message), X_Request_Id=request_id)
    assert isinstance(error, exporter.ApiError)
    assert all(part is None or part.isprintable() for part in (str(error), error.code, error.request_id))
    assert "\n" not in str(error)


def test_control_characters_in_error_text_are_escaped() -> None:
    """Escape sequences, line ends and direction marks are escaped, and long text is truncated."""
    assert Redaction(TOKEN).printable("a\x1b[31m\r\n\u202eb\x00é") == r"a\x1b[31m\r\n\u202eb\x00é"
    assert len(Redaction(TOKEN).printable("x" * 10_000)) == 200


@pytest.mark.parametrize("padding", ["", "x" * 190, "\x1b" * 190, "[token]"])
def test_error_text_never_contains_the_token(padding: str) -> None:
    """If a server echoes the token, no text of the error contains it, not even in part."""
    echo = padding + TOKEN
    error = error_for(401, envelope(code=echo, message=f"{echo}{echo}"), X_Request_Id=echo)
    assert not [text for text in all_texts(error) if TOKEN[:8] in text]


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
def test_redaction_withholds_parts_and_encodings_of_the_token(echo: str) -> None:
    """Twelve characters in a row are enough, however often they are escaped."""
    assert Redaction(LONG).printable(f"no {echo}") == "[withheld: it holds the token]"


@pytest.mark.parametrize("text", ["&#" + "9" * 5_000 + ";", "&" * 100_000, "%" * 100_000, "\\u" * 50_000, "&a" * 5_000])
def test_redaction_of_any_text_never_fails(text: str) -> None:
    """Long or heavily escaped text raises no error; only the part that may be shown is searched."""
    assert len(Redaction(LONG).printable(text)) <= 200
    Redaction(LONG).finds_token(text)


def test_words_with_the_common_token_prefix_are_not_redacted() -> None:
    """All Intercom tokens begin with the same characters."""
    assert Redaction(LONG).printable(f"a token begins with {LONG[:8]}") == f"a token begins with {LONG[:8]}"


async def test_token_echoed_by_the_server_is_in_no_error_or_event() -> None:
    """The server echoes it in every part of a response: no error, cause or event contains the token."""

    def respond(request: Request) -> bytes:
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
        Api(respond) as server,
        exporter.Intercom(TOKEN, base_url=server.base_url, retry_policy=retry_policy) as intercom,
    ):
        pages = intercom.pages(observer=events.append)
        await anext(pages)
        with pytest.raises(exporter.CredentialsError) as caught:
            await anext(pages)
    assert len(server.requests) == 6
    assert pages.traffic.version_echoed == "[token]"
    assert [type(event).__name__ for event in events].count("RetryScheduled") == 4
    assert not [text for text in [*all_texts(caught.value), *map(repr, events)] if TOKEN in text]
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
    """A 403 error names the endpoint, and the permission that the app lacks."""
    error = error_for(403, envelope(code="forbidden"), path=path)
    assert str(error).endswith(f"the token may not read {named}: give its app the permission {permission!r}")


def test_refusal_of_a_restricted_plan_suggests_no_permission() -> None:
    """A permission does not help if the workspace's plan lacks the endpoint."""
    error = error_for(403, envelope(code="api_plan_restricted"), path="/tags")
    assert str(error).endswith("the workspace's plan does not include /tags")


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize(
    ("body", "headers"),
    [(b"\n <!DOCTYPE html><h1>Forbidden</h1>", {}), (b"", {"Content_Type": "text/HTML; charset=utf-8"})],
)
def test_refusal_with_a_web_page_blames_a_firewall(status: int, body: bytes, headers: dict[str, str]) -> None:
    """A web page comes from a firewall or gateway: neither the token nor its permissions are the cause."""
    error = error_for(status, body, **headers)
    assert type(error) is exporter.CredentialsError
    assert f"the API answered {status}: a firewall or gateway refused the request for /contacts" in str(error)
    assert "permission" not in str(error)
    assert "check that the token" not in str(error)
