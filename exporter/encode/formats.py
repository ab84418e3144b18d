"""Output formats as data: what each is called, and how a page becomes bytes of it."""

from collections.abc import Callable
from dataclasses import dataclass

from exporter.encode.ndjson import lines
from exporter.errors import ConfigError
from exporter.fastzlib import gzip_member
from exporter.model import Frame, Page


@dataclass(frozen=True, slots=True)
class Format:
    """An output format.

    Attributes:
        suffix: of its files' names.
        compress: makes a page's lines into one member; None leaves them plain.
    """

    suffix: str
    compress: Callable[[bytes], bytes] | None = None

    def encode(self, page: Page) -> Frame:
        """Encode one page. A page without contacts gives an empty frame."""
        plain = lines(page.records)
        content = self.compress(plain) if self.compress and plain else plain
        return Frame(content, len(page.records), len(plain))

    def empty(self) -> Frame:
        """Encode no contact at all, into a file that is valid all the same."""
        return Frame(self.compress(b"") if self.compress else b"", 0, 0)


NDJSON = Format(".ndjson")
NDJSON_GZIP = Format(".ndjson.gz", gzip_member)
_FORMATS = (NDJSON, NDJSON_GZIP)


def format_of_name(name: str) -> Format:
    """Choose the format by a file name's suffix.

    Raises:
        ConfigError: no format has that suffix.
    """
    for form in _FORMATS:
        if name.endswith(form.suffix) and name != form.suffix:
            return form
    suffixes = ", ".join(form.suffix for form in _FORMATS)
    raise ConfigError(f"the output's name must end with one of {suffixes}: {name!r} does not")


def format_of_suffix(suffix: str) -> Format:
    """Find the format with a suffix.

    Raises:
        ConfigError: there is none.
    """
    for form in _FORMATS:
        if suffix == form.suffix:
            return form
    names = ", ".join(form.suffix.removeprefix(".") for form in _FORMATS)
    raise ConfigError(f"the format must be one of {names}, not {suffix.removeprefix('.')!r}")


def format_of_compression(compression: str | None) -> Format:
    """Choose the format of a stream.

    Raises:
        ConfigError: neither None nor ``"gzip"``.
    """
    if compression is None:
        return NDJSON
    if compression == "gzip":
        return NDJSON_GZIP
    raise ConfigError(f"compression must be 'gzip' or None, not {compression!r}")
