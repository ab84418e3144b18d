"""What a sandbox serves, told to people: the page at ``/``, and the answer to requests for anything else."""

from html import escape

from exporter.sandbox.backend import SandboxBackend

ENDPOINTS = {
    "GET /contacts": "all contacts, by the page: <code>per_page</code>, <code>starting_after</code>, <code>page</code>",
    "GET /contacts/{id}": "one contact",
    "GET /contacts/{id}/notes": "its notes, by the page, as above",
    "GET /contacts/{id}/companies": "its companies, by the page: <code>per_page</code>, <code>page</code>",
    "GET /contacts/{id}/tags": "its tags",
    "GET /contacts/{id}/subscriptions": "its subscription types",
    "GET /contacts/{id}/segments": "its segments",
    "GET /tags": "the tags of the workspace",
    "GET /data_attributes": "the attributes of contacts",
    "GET /me": "the admin that the token belongs to",
}
"""Each request that is answered, and with what (HTML)."""

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
    """Return the page. It holds no token: every program on this machine can read it."""
    rows = "\n".join(f"<tr><td><code>{name}</code></td><td>{what}</td></tr>" for name, what in ENDPOINTS.items())
    return _PAGE.format(name=escape(workspace.name), contacts=len(workspace), rows=rows).encode()


def not_served(method: str, path: str) -> str:
    """Return the message of a 404 for what a sandbox does not serve."""
    if path == "/contacts/search":
        return "the sandbox does not serve POST /contacts/search yet; GET /contacts lists every contact"
    return f"the sandbox does not serve {method} {path[:100]}; the page at / lists what it serves"
