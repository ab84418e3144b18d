"""What a workspace is called: ``GET /me`` tells of the admin whose token it is, and of the workspace as ``app``."""

from dataclasses import dataclass

import msgspec

from exporter.errors import ApiError, CredentialsError
from exporter.source.client import Client
from exporter.source.envelope import MalformedBody
from exporter.source.retry import RequestStats

_PATH = "/me"
_MAX_NAME_CHARACTERS = 100


@dataclass(frozen=True, slots=True)
class WorkspaceName:
    """A workspace.

    Attributes:
        name: what its people call it; its id where it has no name. Anybody may have made it up.
        region: where it is, in the API's words; None when it did not say.

    Both are short, and never hold the token.
    """

    name: str
    region: str | None


class _App(msgspec.Struct):
    id_code: str | None = None
    name: str | None = None
    region: str | None = None


class _Me(msgspec.Struct):
    app: _App | None = None


async def fetch_workspace(client: Client, traffic: RequestStats) -> WorkspaceName | None:
    """Ask for the workspace's name.

    Returns:
        The name; None where the token may not ask, or the API does not say.

    Raises:
        SourceError: it failed in a passing way for too long.
    """
    try:
        app = await client.fetch(_PATH, {}, _read, traffic)
    except (ApiError, CredentialsError) as refusal:
        if refusal.status is None:  # the connection failed: nothing was refused
            raise
        return None  # the contacts could be read, so this is about this one thing
    named = app and (app.name or app.id_code)
    if not app or not named:
        return None
    return WorkspaceName(
        client.redaction.redacted(named)[:_MAX_NAME_CHARACTERS],
        client.redaction.redacted(app.region or "")[:_MAX_NAME_CHARACTERS] or None,
    )


def _read(body: bytes) -> _App | None:
    try:
        return msgspec.json.decode(body, type=_Me).app
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise MalformedBody("no admin with a workspace") from None
