"""A request to the API, before it is sent."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from exporter.source.base_url import encode_query


@dataclass(frozen=True, slots=True)
class Request:
    """One request.

    Attributes:
        path: below the base URL.
        query: the parameters in the URL.
        json: the JSON of its body; None for a request without a body.
    """

    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    json: bytes | None = field(default=None, repr=False)

    @property
    def method(self) -> str:
        """The HTTP method. A search is a POST, and only reads: it can be repeated like a GET."""
        return "GET" if self.json is None else "POST"

    @property
    def target(self) -> str:
        """Path and query, encoded."""
        return f"{self.path}?{encode_query(self.query)}" if self.query else self.path
