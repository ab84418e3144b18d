"""Text that any system wrote: byte-order marks, line ends and quotes that do not belong to it."""

import codecs

from exporter.errors import ConfigError

BYTE_ORDER_MARK = "\ufeff"
_OTHER_ENCODINGS = {
    codecs.BOM_UTF32_LE: "UTF-32",
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}  # the mark of UTF-32 begins with that of UTF-16
_QUOTES = "\"'"


def decode_text(content: bytes, what: str) -> str:
    """Decode UTF-8 with or without a byte-order mark, with the line ends of any system.

    Args:
        content: the bytes.
        what: their source, for messages.

    Raises:
        ConfigError: it is UTF-16 or UTF-32.
        UnicodeDecodeError: it is not UTF-8.
    """
    for mark, encoding in _OTHER_ENCODINGS.items():
        if content.startswith(mark):
            raise ConfigError(f"{what} is text in {encoding}: save it as UTF-8")
    text = content.decode().removeprefix(BYTE_ORDER_MARK)
    return text.replace("\r\n", "\n").replace("\r", "\n")


def unquote(value: str) -> str:
    """Return the value of a variable without what env files leave around it: a mark, line ends, a pair of quotes."""
    value = value.removeprefix(BYTE_ORDER_MARK).strip("\r\n")
    quote = value[:1]
    if quote and quote in _QUOTES and len(value) > 1 and value[-1] == quote and quote not in value[1:-1]:
        return value[1:-1]
    return value
