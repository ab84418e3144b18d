"""Options that say what is written of each contact."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from cyclopts import Parameter

from exporter.cli.credentials import read_private
from exporter.cli.settings import CONTACTS
from exporter.cli.values import Flag, Paths, Whole
from exporter.errors import ConfigError

if TYPE_CHECKING:
    from exporter.encode.shape import Shape
    from exporter.source.expansion import Expansion, ListName


@Parameter(name="*", group=CONTACTS)
@dataclass(frozen=True, kw_only=True)
class ShapeOptions:
    """What is written of each contact; without any of these exactly what the API sent."""

    expand: Paths = ()
    """Complete these lists, of which a contact embeds ten at most: tags, notes, companies (a request for each list
    that is cut), subscriptions, segments (a request for each contact); or all."""

    expand_concurrency: Whole = 30
    "Requests for lists under way at once, 1-100."

    tag_names: Flag = False
    "Give tags their names, which contacts do not have: one request."

    fields: Paths = ()
    "Write only these fields, in this order: id,email,location.country,custom_attributes.plan"

    drop: Paths = ()
    "Leave these fields out: phone,location.city,tags.data.url"

    pseudonymise: Paths = ()
    "Replace the values of these fields by HMAC-SHA-256 pseudonyms, the same for the same key: email,phone,name"

    key_file: str | None = None
    "File with the key for the pseudonyms, 16 bytes at least, readable by its owner alone."

    @property
    def expands(self) -> bool:
        """Whether lists are completed."""
        return bool(self.expand)

    def expansion(self) -> "Expansion":
        """Make the expansion these options describe.

        Raises:
            ConfigError: there is no such list.
        """
        from exporter.source.expansion import LISTS, Expansion

        # Whether they are names of lists, it looks itself.
        named = cast("tuple[ListName, ...]", tuple(dict.fromkeys(self.expand)))
        return Expansion(LISTS if named == ("all",) else named, self.tag_names, self.expand_concurrency)

    def shape(self) -> "Shape":
        """Make the shape these options describe.

        Raises:
            ConfigError: they make no sense together, or the key cannot be read.
        """
        from exporter.encode.shape import Shape

        if self.pseudonymise and self.key_file is None:
            raise ConfigError("--pseudonymise needs a key: name a file with --key-file")
        if self.key_file is not None and not self.pseudonymise:
            raise ConfigError("--key-file is for --pseudonymise: name the fields too")
        key = _read_key(Path(self.key_file)) if self.key_file else b""
        return Shape(fields=self.fields, drop=self.drop, pseudonymise=self.pseudonymise, key=key)


def _read_key(path: Path) -> bytes:
    """Read the key for pseudonyms; a line break at its end is an editor's, not the key's."""
    try:
        return read_private(path, "key").rstrip(b"\r\n")
    except OSError as exc:
        raise ConfigError(f"the key file cannot be read: {exc.strerror}") from exc
    except ValueError:
        raise ConfigError("the key file cannot be read: there is no such name") from None
