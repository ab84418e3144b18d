"""What custom attributes the contacts of a workspace can have: a first look, for tables that give each a column.

Facts about the API: ``GET /data_attributes`` lists those of Intercom too, and
archived ones only where they are asked for; contacts may still have values of
these. It needs a permission of its own. Versions 1.x have it elsewhere.
"""

from collections.abc import Sequence

import msgspec

from exporter.errors import ApiError, ContractError, CredentialsError
from exporter.source.client import Client
from exporter.source.envelope import Envelope, parse
from exporter.source.retry import RequestStats

_PATH = "/data_attributes"
_QUERY = {"model": "contact", "include_archived": "true"}
_PREFIX = "custom_attributes."
_FORBIDDEN = 403
_MOST, _MOST_CHARACTERS = 2_000, 200_000  # a workspace may have a few hundred; each would be a column


async def fetch_attributes(client: Client, traffic: RequestStats) -> tuple[str, ...] | None:
    """Fetch the names of a workspace's custom attributes, in the API's order.

    Returns:
        The names; None where the API does not tell them to this token, or in a way that cannot be understood.

    Raises:
        ContractError: it names more attributes than a table can have columns, or one by the token.
        SourceError: it failed in another way than by refusing.
    """

    def read(body: bytes) -> Envelope:
        return parse(body, f"{client.base_url}{_PATH}", ("data",))

    try:
        envelope = await client.fetch(_PATH, _QUERY, read, traffic)
    except CredentialsError as refusal:
        if refusal.status != _FORBIDDEN:
            raise
        return None
    except (ApiError, ContractError) as refusal:
        if isinstance(refusal, ApiError) and refusal.status is None:  # the connection failed: nothing was refused
            raise
        return None
    names = _names(envelope.records)
    if len(names) > _MOST or sum(map(len, names)) > _MOST_CHARACTERS:
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
        except msgspec.DecodeError:  # not what is looked for
            continue
        if name.startswith(_PREFIX) and name != _PREFIX:
            found[name.removeprefix(_PREFIX)] = None
    return tuple(found)
