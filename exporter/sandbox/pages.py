"""Response bodies: pages of contacts, the lists of one contact, and the workspace's own lists."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from exporter.sandbox.attributes import describe
from exporter.sandbox.backend import Row, SandboxBackend
from exporter.sandbox.contacts import Workspace
from exporter.sandbox.nested import ADMIN, NESTED
from exporter.sandbox.protocol import (
    DEFAULT_VERSION,
    SINCE_2_16,
    UNLIMITED,
    Cursors,
    Refusal,
    compact,
    count_of,
    page_body,
    page_size,
)

_OLD_MAX_CONTACTS = 10_000


class Listing:
    """``GET /contacts`` of one workspace, without the HTTP.

    Args:
        workspace: source of the contacts.
        version: version of the API, which determines the form of a contact.

    Attributes:
        workspace: source of the contacts.
        cursors: the cursors of this list.
    """

    def __init__(self, workspace: SandboxBackend, version: str = DEFAULT_VERSION) -> None:
        self.workspace = workspace
        self._version = version
        self.cursors = Cursors(f"contacts:{workspace.id_code}")

    def locate(self, query: Mapping[str, str]) -> tuple[int, int]:
        """Return the position and the page size a query asks for.

        Raises:
            Refusal: 400, a parameter is invalid.
        """
        per_page = page_size(query)
        return _start(query, self.cursors, per_page), per_page

    def body(self, position: int, per_page: int, *, loop: bool = False, url: str = "") -> bytes:
        """Return one page.

        Args:
            position: index of its first contact.
            per_page: maximum number of contacts.
            loop: return a next cursor that was used before: that of page 2, or
                of this page if it is page 1 or 2.
            url: URL of the listing; only older versions use it.
        """
        del url
        total, next_position = len(self.workspace), position + per_page
        page = position // per_page + 1
        pages: dict[str, Any] = {"type": "pages", "page": page}
        if loop or next_position < total:
            target = min(position, per_page) if loop else next_position
            pages["next"] = {"page": page + 1, "starting_after": self.cursors.write(target)}
        pages |= {"per_page": per_page, "total_pages": -(-total // per_page)}
        return page_body(records(self.workspace, position, next_position, self._version), total, pages)


class OldListing:
    """``GET /contacts`` of the versions 1.x: a list ``contacts``, page numbers, and the next page as a URL.

    It ends with contact 10,000, same as the API's. Unlike the API's, it lists
    all contacts, not only leads.

    Attributes:
        workspace: source of the contacts.
    """

    def __init__(self, workspace: SandboxBackend) -> None:
        self.workspace = workspace

    def locate(self, query: Mapping[str, str]) -> tuple[int, int]:
        """Return the position and the page size a query asks for.

        Raises:
            Refusal: 400, a parameter is invalid, or the page is beyond contact 10,000.
        """
        per_page = page_size(query)
        position = (count_of(query, "page", default=1, maximum=UNLIMITED) - 1) * per_page
        if position >= _OLD_MAX_CONTACTS:
            raise Refusal(400, "parameter_invalid", f"pages end with contact {_OLD_MAX_CONTACTS}")
        return position, per_page

    def body(self, position: int, per_page: int, *, loop: bool = False, url: str = "") -> bytes:
        """Return one page; see `Listing.body`."""
        total, page = len(self.workspace), position // per_page + 1
        end = min(position + per_page, _OLD_MAX_CONTACTS)
        next_url = f"{url}?per_page={per_page}&page={page if loop else page + 1}"
        pages = _pages_of(total, page, per_page) | {
            "next": next_url if loop or end < min(total, _OLD_MAX_CONTACTS) else None
        }
        return b'{"type":"contact.list","pages":%b,"contacts":[%b],"total_count":%d,"limited":%b}' % (
            compact(pages),
            b",".join(self.workspace.records(position, end)),
            total,
            compact(total > _OLD_MAX_CONTACTS),
        )


def listings(workspace: SandboxBackend) -> Callable[[str], Listing | OldListing]:
    """Return a function that returns the listing of an API version."""
    old, present, new = OldListing(workspace), Listing(workspace), Listing(workspace, "2.16")

    def of(version: str) -> Listing | OldListing:
        if version.startswith("1."):
            return old
        return new if version in SINCE_2_16 else present

    return of


def nested_body(workspace: SandboxBackend, index: int, name: str, query: Mapping[str, str], url: str) -> bytes:
    """Return one of a contact's nested lists, in the envelope of its endpoint.

    Args:
        workspace: source of the contact.
        index: index of the contact.
        name: name of the list.
        query: parameters of the request.
        url: URL of the list, for links to further pages.

    Raises:
        Refusal: 404 for an unknown list, 400 for an invalid parameter.
    """
    if name not in NESTED:
        raise Refusal(404, "not_found", "The requested resource was not found")
    rows = workspace.nested(index, name)
    match name:
        case "notes":
            # The index of a contact may change while a client reads its notes; its id does not.
            return _by_cursor(rows, Cursors(f"{name}:{workspace.id_of(index)}"), query)
        case "companies":
            return _by_number(rows, query, url)
        case _:
            return _list(rows)


def records(workspace: SandboxBackend, start: int, stop: int, version: str) -> list[bytes]:
    """Return contacts in the form of an API version. Recorded contacts stay unchanged."""
    if version in SINCE_2_16 and isinstance(workspace, Workspace):
        return workspace.records(start, stop, text_owners=True)
    return workspace.records(start, stop)


def contact_index(workspace: SandboxBackend, contact_id: str, version: str) -> int:
    """Return a contact's index.

    Raises:
        Refusal: 404 ``not_found``, no contact has that id; from version 2.16 on
            410 ``contact_merged``, the contact was merged into an existing one.
    """
    index = workspace.index_of(contact_id)
    if index is not None:
        return index
    if version in SINCE_2_16 and isinstance(workspace, Workspace) and (survivor := workspace.survivor_of(contact_id)):
        link = {"Link": f'</contacts/{survivor}>; rel="canonical"'}
        raise Refusal(410, "contact_merged", "The contact was merged; the Link header names the surviving one", link)
    raise Refusal(404, "not_found", "User Not Found")


def me_body(workspace: SandboxBackend, timezone: str) -> bytes:
    """Return ``GET /me``: the admin the token belongs to, and the workspace as ``app``."""
    app = {
        "type": "app",
        "id_code": workspace.id_code,
        "name": workspace.name,
        "region": "US",
        "timezone": timezone,
        "created_at": 1_420_070_400,
        "identity_verification": False,
    }
    return compact({**ADMIN, "email_verified": True, "app": app, "has_inbox_seat": True})


def tags_body(workspace: SandboxBackend, _query: Mapping[str, str]) -> bytes:
    """Return ``GET /tags``: every tag with its name, unpaged."""
    return _list(workspace.tags())


def data_attributes_body(workspace: SandboxBackend, query: Mapping[str, str]) -> bytes:
    """Return ``GET /data_attributes``, unpaged; archived attributes only on request.

    Raises:
        Refusal: 400 for another model than contacts.
    """
    if query.get("model", "contact") != "contact":
        raise Refusal(400, "parameter_invalid", "the sandbox has only attributes of contacts")
    archived = query.get("include_archived") == "true"
    attributes = workspace.attributes()
    if not isinstance(attributes, list):
        attributes = [describe(name, value, number) for number, (name, value) in enumerate(attributes.items())]
    rows = [one for one in attributes if archived or not one["archived"]]
    return compact({"type": "list", "data": rows})


UNPAGED: dict[str, Callable[[SandboxBackend, Mapping[str, str]], bytes]] = {
    "/tags": tags_body,
    "/data_attributes": data_attributes_body,
}
"""Functions that return an unpaged body, by path."""


def _start(query: Mapping[str, str], cursors: Cursors, per_page: int) -> int:
    """Return the position of a page's first row, from its cursor, or else from its page number.

    Some clients, such as the official SDKs, send both: with each cursor the
    number of the first page. An empty cursor means no cursor (users' reports).
    """
    if cursor := query.get("starting_after", ""):
        return cursors.read(cursor)
    return (count_of(query, "page", default=1, maximum=UNLIMITED) - 1) * per_page


def _by_cursor(rows: Sequence[Row], cursors: Cursors, query: Mapping[str, str]) -> bytes:
    per_page = page_size(query)
    start = _start(query, cursors, per_page)
    pages = _pages_of(len(rows), start // per_page + 1, per_page)
    if start + per_page < len(rows):
        pages["next"] = {"per_page": per_page, "starting_after": cursors.write(start + per_page)}
    return _paged(rows[start : start + per_page], len(rows), pages)


def _by_number(rows: Sequence[Row], query: Mapping[str, str], url: str) -> bytes:
    per_page = page_size(query)
    page = count_of(query, "page", default=1, maximum=UNLIMITED)
    pages = _pages_of(len(rows), page, per_page)
    if page * per_page < len(rows):
        pages["next"] = f"{url}?per_page={per_page}&page={page + 1}"
    return _paged(rows[(page - 1) * per_page : page * per_page], len(rows), pages, "companies")


def _pages_of(count: int, page: int, per_page: int) -> dict[str, Any]:
    return {"type": "pages", "page": page, "per_page": per_page, "total_pages": -(-count // per_page)}


def _paged(rows: Sequence[Row], total: int, pages: dict[str, Any], key: str = "data") -> bytes:
    return _list(rows, b',"total_count":%d,"pages":%b' % (total, compact(pages)), key)


def _list(rows: Sequence[Row], more: bytes = b"", key: str = "data") -> bytes:
    """Return rows in an envelope. Recorded rows are JSON already."""
    data = b",".join(row if isinstance(row, bytes) else compact(row) for row in rows)
    return b'{"type":"list","%b":[%b]%b}' % (key.encode(), data, more)
