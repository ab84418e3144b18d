"""Output formats as data: what each is called, and how a page becomes bytes of it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

from exporter.encode.ndjson import lines
from exporter.encode.shape import AS_SENT, Shape
from exporter.errors import ConfigError
from exporter.fastzlib import gzip_member
from exporter.fastzstd import zstd, zstd_frame
from exporter.model import Frame, Page


@dataclass(frozen=True, slots=True)
class Format:
    """An output format.

    Attributes:
        suffix: of its files' names.
        compress: makes a page's lines into one member or frame; None leaves them plain.
        look_for: looks for what it needs, and raises `ImportError` if that is not installed.
    """

    suffix: str
    compress: Callable[[bytes], bytes] | None = None
    look_for: Callable[[], object] | None = None

    def found(self) -> Self:
        """Return itself, once it is sure that it can be written.

        Raises:
            ConfigError: something is not installed.
        """
        try:
            if self.look_for:
                self.look_for()
        except ImportError as missing:
            raise ConfigError(str(missing)) from None
        return self

    def encode(self, page: Page, shape: Shape = AS_SENT) -> Frame:
        """Encode one page, each contact in its shape. A page without contacts gives an empty frame."""
        found: set[str] = set()
        plain = lines([shape.of(record, found) for record in page.records] if shape else page.records)
        content = self.compress(plain) if self.compress and plain else plain
        return Frame(content, len(page.records), len(plain), frozenset(found))

    def empty(self) -> Frame:
        """Encode no contact at all, into a file that is valid all the same."""
        return Frame(self.compress(b"") if self.compress else b"", 0, 0)


NDJSON = Format(".ndjson")
NDJSON_GZIP = Format(".ndjson.gz", gzip_member)
NDJSON_ZSTD = Format(".ndjson.zst", zstd_frame, zstd)
_FORMATS = (NDJSON, NDJSON_GZIP, NDJSON_ZSTD)
_STREAMED = {None: NDJSON, "gzip": NDJSON_GZIP, "zstd": NDJSON_ZSTD}


def format_of_name(name: str) -> Format:
    """Choose the format by a file name's suffix.

    Raises:
        ConfigError: no format has that suffix.
    """
    for form in _FORMATS:
        if name.endswith(form.suffix) and name != form.suffix:
            return form.found()
    suffixes = ", ".join(form.suffix for form in _FORMATS)
    raise ConfigError(f"the output's name must end with one of {suffixes}: {name!r} does not")


def format_of_suffix(suffix: str) -> Format:
    """Find the format with a suffix.

    Raises:
        ConfigError: there is none.
    """
    for form in _FORMATS:
        if suffix == form.suffix:
            return form.found()
    names = ", ".join(form.suffix.removeprefix(".") for form in _FORMATS)
    raise ConfigError(f"the format must be one of {names}, not {suffix.removeprefix('.')!r}")


def format_of_compression(compression: str | None) -> Format:
    """Choose the format of a stream.

    Raises:
        ConfigError: neither None nor ``"gzip"`` nor ``"zstd"``.
    """
    if compression not in _STREAMED:
        raise ConfigError(f"compression must be 'gzip', 'zstd' or None, not {compression!r}")
    return _STREAMED[compression].found()
