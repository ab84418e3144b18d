"""The names of a workspace's custom attributes: a table has a column for each.

Facts about the API: ``GET /data_attributes`` also lists Intercom's own attributes.
It lists archived ones only if requested; contacts can still have values for these.
It needs its own permission. Versions 1.x have another endpoint.
"""

from collections.abc import Sequence

import msgspec

from exporter.errors import ApiError, ContractError, CredentialsError
from exporter.source.client import Client
from exporter.source.envelope import Envelope, parse
from exporter.source.request import Request
from exporter.source.retry import RequestStats

_PATH = "/data_attributes"
_QUERY = {"model": "contact", "include_archived": "true"}
_PREFIX = "custom_attributes."
_FORBIDDEN = 403
_MAX_NAMES, _MAX_CHARACTERS = 2_000, 200_000  # workspaces have a few hundred at most


async def fetch_attributes(client: Client, traffic: RequestStats) -> tuple[str, ...] | None:
    """Fetch the names of a workspace's custom attributes, in the API's order.

    Returns:
        The names; None if the token has no permission, or the response has another form.

    Raises:
        ContractError: there are more attributes than a table can have columns, or a name holds the token.
        SourceError: the request failed for another reason than a refusal.
    """

    def read(body: bytes) -> Envelope:
        return parse(body, f"{client.base_url}{_PATH}", ("data",))

    try:
        envelope = await client.fetch(Request(_PATH, _QUERY), read, traffic)
    except CredentialsError as refusal:
        if refusal.status != _FORBIDDEN:
            raise
        return None
    except (ApiError, ContractError) as refusal:
        if isinstance(refusal, ApiError) and refusal.status is None:  # the connection failed: nothing was refused
            raise
        return None
    names = _names(envelope.records)
    if len(names) > _MAX_NAMES or sum(map(len, names)) > _MAX_CHARACTERS:
        raise ContractError(f"the API names {len(names):,} attributes, which make no table: choose some with --fields")
    if any(map(client.redaction.finds_token, names)):  # columns stand in headers, manifests and events
        raise ContractError("the API names an attribute after the access token: choose others with --fields")
    return names


class _Attribute(msgspec.Struct):
    full_name: str = ""


def _names(records: Sequence[bytes]) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for record in records:
        try:
            name = msgspec.json.decode(record, type=_Attribute).full_name
        except msgspec.DecodeError:  # an item of another form
            continue
        if name.startswith(_PREFIX) and name != _PREFIX:
            found[name.removeprefix(_PREFIX)] = None
    return tuple(found)
