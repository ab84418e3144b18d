"""Contacts as Parquet: typed columns from the schema, and the exact JSON of the contact in the column ``raw``.

A value of another type than its column is null in that column; ``raw`` still
has it. Objects are structs, and lists are lists of structs. Custom attributes
are a map of text: the text of a string, and the JSON of any other value.
"""

import io
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import accumulate
from typing import Any

import msgspec

from exporter.extras import arrow
from exporter.formats.columns import RAW
from exporter.formats.parquet_schema import ColumnNode, build_tree, decode_lenient, text
from exporter.formats.selection import value_at

GROUP_CONTACTS, GROUP_BYTES = 10_000, 32_000_000
"""The maximum contacts and JSON bytes of a row group. One row group is in memory at a time."""

_BATCH_CONTACTS, _BATCH_BYTES = 1_000, 4_000_000  # maximum that is decoded to Python objects at once
_COMPRESSION, _LEVEL = "zstd", 3


class ParquetFile:
    """A writer of one Parquet file. Blocks.

    Args:
        file: open file; the writer never seeks in it.
        columns: paths of the columns' fields.

    Raises:
        MissingExtraError: pyarrow is not installed.
    """

    def __init__(self, file: io.BufferedIOBase, columns: Sequence[str]) -> None:
        self._pa, parquet = arrow()
        self._top = build_tree(columns)
        self._decode = self._top.decoder().decode
        fields = [self._pa.field(node.name, self._type(node)) for node in self._top.children]
        self._schema = self._pa.schema([*fields, self._pa.field(RAW, self._pa.string())])
        self._writer = parquet.ParquetWriter(
            file,
            self._schema,
            compression=_COMPRESSION,
            compression_level=_LEVEL,
            use_dictionary=list(_leaves(self._top)),  # not for the column raw: its values hardly ever repeat
        )
        self._batches: list[Any] = []
        self._pending: list[bytes] = []
        self._group_contacts = self._group_bytes = self._pending_bytes = 0

    def add(self, records: Sequence[bytes]) -> None:
        """Add contacts. Each full row group is written to the file."""
        for record in records:
            self._pending.append(record)
            self._group_contacts += 1
            self._group_bytes += len(record)
            self._pending_bytes += len(record)
            if self._group_contacts == GROUP_CONTACTS or self._group_bytes >= GROUP_BYTES:
                self._flush_row_group()
            elif len(self._pending) == _BATCH_CONTACTS or self._pending_bytes >= _BATCH_BYTES:
                self._flush_batch()

    def close(self) -> None:
        """Write the last row group and the footer."""
        if self._group_contacts:
            self._flush_row_group()
        self._writer.close()

    def discard(self) -> None:
        """Release the file in any state. Never raises."""
        with suppress(Exception):
            self._writer.close()
        self._writer.is_open = False  # otherwise its finalizer tries to close it again, and prints an error

    def _flush_row_group(self) -> None:
        """Write the contacts added since the last row group."""
        self._flush_batch()
        self._writer.write_table(self._pa.Table.from_batches(self._batches, self._schema), GROUP_CONTACTS)
        self._batches.clear()
        self._group_contacts = self._group_bytes = 0
        self._pa.default_memory_pool().release_unused()

    def _flush_batch(self) -> None:
        """Convert the contacts added since the last batch into columns."""
        if not self._pending:
            return
        contacts = [self._decoded(record) for record in self._pending]
        arrays = self._members(self._top, contacts)
        for position, node in enumerate(self._top.children):
            if node.kind == "json":
                values = [text(value_at(record, node.name)) for record in self._pending]
                arrays.insert(position, self._pa.array(values, self._pa.string()))
        raw = self._pa.array(self._pending, self._pa.binary()).cast(self._pa.string())
        self._batches.append(self._pa.RecordBatch.from_arrays([*arrays, raw], schema=self._schema))
        self._pending.clear()
        self._pending_bytes = 0

    def _decoded(self, record: bytes) -> Any:
        try:
            return self._decode(record)
        except (msgspec.DecodeError, RecursionError):
            return decode_lenient(record, self._top)

    def _members(self, node: ColumnNode, objects: Sequence[Any]) -> list[Any]:
        """Return one array for each member of some objects. An object may be None."""
        children = [child for child in node.children if child.kind != "json"]
        empty_row = (None,) * len(children)
        rows = [empty_row if one is None else msgspec.structs.astuple(one) for one in objects]
        columns = list(zip(*rows, strict=True)) or [()] * len(children)
        return [self._array(child, column) for child, column in zip(children, columns, strict=True)]

    def _array(self, node: ColumnNode, values: Sequence[Any]) -> Any:
        match node.kind:
            case "object":
                return self._structs(node, values)
            case "list":
                items = [item for value in values if value is not None for item in value]
                return self._pa.ListArray.from_arrays(self._offsets(values), self._structs(node, items))
            case "map":
                keys = [key for value in values if value is not None for key in value]
                texts = [text(bytes(one)) for value in values if value is not None for one in value.values()]
                arrays = self._pa.array(keys, self._pa.string()), self._pa.array(texts, self._pa.string())
                return self._pa.MapArray.from_arrays(self._offsets(values), *arrays)
            case "timestamp":
                seconds = self._pa.array(values, self._pa.int64())
                return seconds.cast(self._pa.timestamp("s", tz="UTC")).cast(self._type(node))
            case "union":
                return self._pa.array([None if value is None else str(value) for value in values], self._pa.string())
            case _:
                return self._pa.array(values, self._type(node))

    def _structs(self, node: ColumnNode, objects: Sequence[Any]) -> Any:
        fields = list(self._struct(node))
        missing = self._pa.array([one is None for one in objects], self._pa.bool_())
        return self._pa.StructArray.from_arrays(self._members(node, objects), fields=fields, mask=missing)

    def _offsets(self, values: Sequence[Any]) -> Any:
        """Return the offset of each list's first item, None for a missing list; and at the end the number of items."""
        ends = accumulate((0 if value is None else len(value) for value in values), initial=0)
        starts = list(ends)
        offsets = [None if value is None else start for value, start in zip(values, starts, strict=False)]
        return self._pa.array([*offsets, starts[-1]], self._pa.int32())

    def _struct(self, node: ColumnNode) -> Iterator[Any]:
        return (self._pa.field(child.name, self._type(child)) for child in node.children)

    def _type(self, node: ColumnNode) -> Any:
        """Return the Arrow type of a column."""
        pa = self._pa
        match node.kind:
            case "object":
                return pa.struct(list(self._struct(node)))
            case "list":
                return pa.list_(pa.struct(list(self._struct(node))))
            case "map":
                return pa.map_(pa.string(), pa.string())
            case "timestamp":
                return pa.timestamp("ms", tz="UTC")
            case kind:
                return {"integer": pa.int64(), "boolean": pa.bool_()}.get(kind, pa.string())


def _leaves(node: ColumnNode, prefix: str = "") -> Iterator[str]:
    """Yield the names of the physical columns of a file, as Parquet spells them."""
    for child in node.children:
        path = f"{prefix}{child.name}"
        match child.kind:
            case "object":
                yield from _leaves(child, f"{path}.")
            case "list":
                yield from _leaves(child, f"{path}.list.element.")
            case "map":
                yield from (f"{path}.key_value.key", f"{path}.key_value.value")
            case _:
                yield path
