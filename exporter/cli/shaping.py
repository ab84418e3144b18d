"""Options that say what is written of each contact."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, cast

from cyclopts import Parameter

from exporter.cli.secret_files import read_key
from exporter.cli.settings import CONTACTS, OutputOptions
from exporter.cli.values import File, Flag, Paths, whole
from exporter.errors import ConfigError
from exporter.validation import MAX_CONCURRENCY

if TYPE_CHECKING:
    from exporter.formats.selection import FieldSelection
    from exporter.options import ExportOptions, ListExpansion, ListName

_CONSUMERS, _EXPANDING_CONSUMERS = 2, 16


@Parameter(name="*", group=CONTACTS)
@dataclass(frozen=True, kw_only=True)
class ShapeOptions:
    """What is written of each contact; by default exactly what the API sent."""

    expand: Annotated[Paths, Parameter(metavar="LISTS")] = ()
    """Fetch these lists in full (a contact embeds at most ten items): tags, notes, companies (one request per truncated
    list), subscriptions, segments (one request per contact); or all."""

    expand_concurrency: Annotated[int, whole(1, MAX_CONCURRENCY)] = 30
    "Concurrent requests for lists, 1-100."

    tag_names: Flag = False
    "Add names to tags (contacts carry only their ids): one extra request."

    fields: Paths = ()
    "Write only these fields, in this order: id,email,location.country,custom_attributes.plan"

    drop: Paths = ()
    "Leave these fields out: phone,location.city,tags.data.url"

    pseudonymise: Paths = ()
    "Replace the values of these fields by HMAC-SHA-256 pseudonyms, the same for the same key: email,phone,name"

    key_file: File = None
    "File with the key for the pseudonyms, 16 bytes at least, readable by its owner alone."

    records: Literal["exact", "normalized"] = "exact"
    """exact: each contact's bytes are the API's. normalized: what strict JSON readers refuse or change (repeated keys,
    lone surrogates, integers beyond 64 bits, numbers that a double cannot hold) is corrected and counted."""

    def export_options(self, output: OutputOptions, shape: "FieldSelection") -> "ExportOptions":
        """Return the settings of an export in one object.

        Args:
            output: where it goes.
            shape: what `shape` returned.

        Raises:
            ConfigError: a value is out of range, or there is no such list.
        """
        from exporter.options import ExportOptions

        consumers = output.consumers or (_EXPANDING_CONSUMERS if self.expand else _CONSUMERS)
        return ExportOptions(
            consumers=consumers,
            queue_pages=output.queue_pages,
            max_contacts=output.max_contacts,
            overwrite=output.overwrite,
            restart=output.restart,
            compression=output.compression,
            file_format=output.file_format,
            part_contacts=output.part_contacts,
            part_bytes=output.part_bytes,
            selection=shape,
            expansion=self.expansion(),
            csv_raw=output.csv_raw,
            csv_bom=output.csv_bom,
            records=self.records,
            allow_shortfall=output.allow_shortfall,
            checkpoint_every_s=output.checkpoint_every,
            min_free_bytes=output.min_free_disk,
        )

    def expansion(self) -> "ListExpansion":
        """Make the expansion these options describe.

        Raises:
            ConfigError: there is no such list.
        """
        from exporter.options import LISTS, ListExpansion

        # Whether they are names of lists, it looks itself.
        named = cast("tuple[ListName, ...]", tuple(dict.fromkeys(self.expand)))
        return ListExpansion(LISTS if named == ("all",) else named, self.tag_names, self.expand_concurrency)

    def shape(self, *, allow_readable_secrets: bool = False) -> "FieldSelection":
        """Make the shape these options describe.

        Args:
            allow_readable_secrets: whether other users may be able to read the key file.

        Raises:
            ConfigError: they make no sense together, or the key cannot be read.
        """
        from exporter.formats.selection import FieldSelection

        if self.pseudonymise and self.key_file is None:
            raise ConfigError("--pseudonymise needs a key: name a file with --key-file")
        if self.key_file is not None and not self.pseudonymise:
            raise ConfigError("--key-file is for --pseudonymise: name the fields too")
        key = read_key(Path(self.key_file), allow_readable=allow_readable_secrets) if self.key_file else b""
        return FieldSelection(fields=self.fields, drop=self.drop, pseudonymise=self.pseudonymise, key=key)
