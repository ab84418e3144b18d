"""The HTML page at ``/``, which lists the endpoints of a sandbox, and the message for unknown endpoints."""

from html import escape

from exporter.sandbox.backend import SandboxBackend

ENDPOINTS = {
    "GET /contacts": "all contacts, in pages: <code>per_page</code>, <code>starting_after</code>, <code>page</code>",
    "POST /contacts/search": "search: <code>query</code>, <code>sort</code>, <code>pagination</code> as in the API",
    "GET /contacts/{id}": "one contact",
    "GET /contacts/{id}/notes": "notes of a contact, in pages, same parameters",
    "GET /contacts/{id}/companies": "companies of a contact, in pages: <code>per_page</code>, <code>page</code>",
    "GET /contacts/{id}/tags": "tags of a contact",
    "GET /contacts/{id}/subscriptions": "subscription types of a contact",
    "GET /contacts/{id}/segments": "segments of a contact",
    "GET /tags": "tags of the workspace",
    "GET /data_attributes": "attributes of contacts",
    "GET /me": "admin that the token belongs to",
}
"""The endpoints, and an HTML description of their responses."""

_PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Sandbox of intercom-exporter</title></head><body>
<h1>Sandbox of intercom-exporter</h1>
<p>A local fake of Intercom's API: workspace {name}, contacts: {contacts:,}. Each request needs the header
<code>Authorization: Bearer TOKEN</code> with the token that the command printed.</p>
<table>
{rows}
</table>
</body></html>
"""


def page(workspace: SandboxBackend) -> bytes:
    """Return the page. It has no token, since every program on this machine can read it."""
    rows = "\n".join(f"<tr><td><code>{name}</code></td><td>{meaning}</td></tr>" for name, meaning in ENDPOINTS.items())
    return _PAGE.format(name=escape(workspace.name), contacts=len(workspace), rows=rows).encode()


def not_served(method: str, path: str) -> str:
    """Return the message of a 404 response for an unknown endpoint."""
    if path == "/contacts/search":
        return "the sandbox searches synthetic contacts, from version 2.0 on; GET /contacts lists every contact"
    return f"the sandbox does not serve {method} {path[:100]}; the page at / lists what it serves"
