"""The responses of the sandbox, recorded once. The replay server serves them."""

import json
from collections.abc import Mapping
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple, Self

from benchmarks.raw_socket import CONTACT, Connection, answers
from benchmarks.served import Served


class Span(NamedTuple):
    """The position of a body in the recording."""

    offset: int
    length: int


@dataclass(frozen=True)
class Recording:
    """All responses of one listing, 150 contacts per page.

    Attributes:
        path: file with the bodies, one after the other, unchanged; the index is beside it.
        contacts: contacts in all pages.
        pages: number of pages.
        json_bytes: bytes of the bodies, uncompressed.
        gzip: whether they are compressed.
        spans: position of each body, by the cursor of its request, in the order of the listing; "" is the first page.
    """

    path: Path
    contacts: int
    pages: int
    json_bytes: int
    gzip: bool
    spans: Mapping[str, Span]

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read the index that `record` wrote."""
        index = json.loads(_index(path).read_text(encoding="utf-8"))
        index["spans"] = {cursor: Span(*span) for cursor, span in index["spans"].items()}
        return cls(path, **index)

    def save(self) -> None:
        """Write the index."""
        index = asdict(self)
        del index["path"]
        _index(self.path).write_text(json.dumps(index), encoding="utf-8")


def record(served: Served, folder: Path) -> Recording:
    """Fetch the listing once, and write every response to a folder.

    Raises:
        ValueError: the responses do not have the expected contacts.
    """
    path = folder / "recording"
    spans: dict[str, Span] = {}
    offset = contacts = json_bytes = 0
    gzip = False
    with closing(Connection(served.base_url, served.token)) as connection, path.open("wb") as file:
        for cursor, answer in answers(connection):
            file.write(answer.wire)
            spans[cursor] = Span(offset, len(answer.wire))
            offset += len(answer.wire)
            contacts += bytes(answer.json).count(CONTACT)
            json_bytes += len(answer.json)
            gzip = answer.gzip
    if contacts != served.contacts:
        raise ValueError(f"recorded {contacts} contacts of {served.contacts}")
    recording = Recording(path, contacts, len(spans), json_bytes, gzip, spans)
    recording.save()
    return recording


def _index(path: Path) -> Path:
    return path.with_name(f"{path.name}.index.json")
