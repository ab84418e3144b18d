"""The name and time zone of the workspace: ``GET /me`` returns the admin of the token, and the workspace as ``app``."""

from dataclasses import dataclass

import msgspec

from exporter.errors import ApiError, CredentialsError
from exporter.source.client import Client
from exporter.source.envelope import MalformedBody
from exporter.source.request import Request
from exporter.source.retry import RequestStats

_PATH = "/me"
_MAX_NAME_CHARACTERS = 100


@dataclass(frozen=True, slots=True)
class WorkspaceName:
    """The name and region of a workspace.

    Attributes:
        name: its name, or its id if it has no name. Its users chose it: it can be any text.
        region: its region as the API names it; None if the API does not.

    Both are short, and never hold the token.
    """

    name: str
    region: str | None


class _App(msgspec.Struct):
    id_code: str | None = None
    name: str | None = None
    region: str | None = None
    timezone: msgspec.Raw = msgspec.Raw(b"null")


class _Me(msgspec.Struct):
    app: _App | None = None


async def fetch_workspace(client: Client, traffic: RequestStats) -> WorkspaceName | None:
    """Fetch the workspace's name.

    Returns:
        The name; None if the token has no permission to read it, or the response has none.

    Raises:
        SourceError: transient failures used up the retry budget.
    """
    app = await _fetch_app(client, traffic)
    named = app and (app.name or app.id_code)
    if not app or not named:
        return None
    return WorkspaceName(
        client.redaction.redacted(named)[:_MAX_NAME_CHARACTERS],
        client.redaction.redacted(app.region or "")[:_MAX_NAME_CHARACTERS] or None,
    )


async def fetch_timezone(client: Client, traffic: RequestStats) -> str | None:
    """Fetch the name of the workspace's time zone.

    Returns:
        The name, as Intercom shows it; None if the token has no permission to read it, or the response has none.

    Raises:
        SourceError: transient failures used up the retry budget.
    """
    app = await _fetch_app(client, traffic)
    try:
        name = msgspec.json.decode(app.timezone if app else b"null", type=str | None)
    except msgspec.DecodeError:  # a value of another kind is no name
        name = None
    return client.redaction.redacted(name or "")[:_MAX_NAME_CHARACTERS] or None


async def _fetch_app(client: Client, traffic: RequestStats) -> _App | None:
    try:
        return await client.fetch(Request(_PATH), _read, traffic)
    except (ApiError, CredentialsError) as refusal:
        if refusal.status is None:  # the connection failed: nothing was refused
            raise
        return None  # contacts may be readable all the same: then the token lacks only this permission


def _read(body: bytes) -> _App | None:
    try:
        return msgspec.json.decode(body, type=_Me).app
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise MalformedBody("no admin with a workspace") from None
