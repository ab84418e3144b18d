"""The group of options for what is written of each contact."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, cast

from cyclopts import Parameter

from exporter.cli.converters import FieldPaths, File, Flag, integer
from exporter.cli.options import DEFAULT_CONSUMERS, RECORDS, OutputOptions
from exporter.cli.secret_files import read_key
from exporter.errors import ConfigError
from exporter.validation import MAX_CONCURRENCY

if TYPE_CHECKING:
    from exporter.formats.selection import FieldSelection
    from exporter.options import ExportOptions, ListExpansion, ListName

_CONSUMERS_WITH_LISTS = 16


@Parameter(name="*", group=RECORDS)
@dataclass(frozen=True, kw_only=True)
class RecordOptions:
    """What is written of each contact; by default exactly what the API sent."""

    expand: Annotated[FieldPaths, Parameter(metavar="LISTS")] = ()
    """Fetch these lists in full (a contact embeds at most ten items): tags, notes, companies (one request per truncated
    list), subscriptions, segments (one request per contact); or all."""

    expand_concurrency: Annotated[int, integer(1, MAX_CONCURRENCY)] = 30
    "Concurrent requests for lists, 1-100."

    tag_names: Flag = False
    "Add names to tags (contacts carry only their ids): one extra request."

    fields: FieldPaths = ()
    "Write only these fields, in this order: id,email,location.country,custom_attributes.plan"

    drop: FieldPaths = ()
    "Leave these fields out: phone,location.city,tags.data.url"

    pseudonymise: FieldPaths = ()
    "Replace the values of these fields by HMAC-SHA-256 pseudonyms, the same for the same key: email,phone,name"

    key_file: File = None
    "File with the key for the pseudonyms, 16 bytes at least, readable by its owner alone."

    records: Literal["exact", "normalized"] = "exact"
    """exact: each contact's bytes are the API's. normalized: what strict JSON readers refuse or change (repeated keys,
    lone surrogates, integers beyond 64 bits, numbers that a double cannot hold) is corrected and counted."""

    def export_options(self, output: OutputOptions, selection: "FieldSelection") -> "ExportOptions":
        """Return the settings of an export in one object.

        Args:
            output: where it goes.
            selection: what `selection` returned.

        Raises:
            ConfigError: a value is out of range, or a list is unknown.
        """
        return replace(
            output.export_options(),
            consumers=output.consumers or (_CONSUMERS_WITH_LISTS if self.expand else DEFAULT_CONSUMERS),
            selection=selection,
            expansion=self.expansion(),
            records=self.records,
        )

    def expansion(self) -> "ListExpansion":
        """Return the expansion that these options describe.

        Raises:
            ConfigError: a list is unknown.
        """
        from exporter.options import LISTS, ListExpansion

        # `Expansion` checks the names.
        lists = cast("tuple[ListName, ...]", tuple(dict.fromkeys(self.expand)))
        return ListExpansion(LISTS if lists == ("all",) else lists, self.tag_names, self.expand_concurrency)

    def selection(self, *, allow_readable_secrets: bool = False) -> "FieldSelection":
        """Return the selection of fields that these options describe. Blocks: it reads the key file.

        Args:
            allow_readable_secrets: whether other users may be able to read the key file.

        Raises:
            ConfigError: one of them needs the other, or the key cannot be read.
        """
        from exporter.formats.selection import FieldSelection

        if self.pseudonymise and self.key_file is None:
            raise ConfigError("--pseudonymise needs a key: name a file with --key-file")
        if self.key_file is not None and not self.pseudonymise:
            raise ConfigError("--key-file is for --pseudonymise: name the fields too")
        key = read_key(Path(self.key_file), allow_readable=allow_readable_secrets) if self.key_file else b""
        return FieldSelection(fields=self.fields, drop=self.drop, pseudonymise=self.pseudonymise, key=key)
