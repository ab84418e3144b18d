"""The settings that decide the bytes of an output, as checkpoints, manifests and summaries hold them."""

import dataclasses
from dataclasses import dataclass
from typing import Any

from exporter.formats.facts import BY_NAME
from exporter.layout.summary import Summary

LIST_ENDPOINT, SEARCH_ENDPOINT = "/contacts", "/contacts/search"


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputSettings:
    """The settings that determine an output's bytes. Only a run with the same settings can resume.

    Attributes:
        base_url: the API's base URL, or the name that stands for it in the output.
        endpoint: path of the listing endpoint.
        api_version: the requested API version.
        per_page: the requested number of contacts per page.
        format: the data files' suffix without its dot.
        max_contacts: the maximum number of contacts, None for no limit.
        part_contacts: the maximum number of contacts in a part, None for no limit.
        part_bytes: the maximum number of bytes in a part, None for a single file.
        fields: the selected fields, empty for all.
        dropped: the fields that are removed.
        pseudonymised: the fields whose values are replaced by pseudonyms.
        pseudonym_key: hexadecimal digits that identify the key of the pseudonyms; None without pseudonyms.
        expanded: the lists that are expanded.
        tag_names: whether names are added to tags.
        csv_raw: for CSV, whether formulas stay unescaped; None for other formats.
        csv_bom: for CSV, whether each file starts with a UTF-8 byte-order mark.
        csv_phones: for CSV that is not raw, whether phone numbers stay unescaped. Early versions prefixed them with
            an apostrophe.
        records: how contacts are written, "exact" or "normalized".
    """

    base_url: str
    endpoint: str
    api_version: str
    per_page: int
    format: str
    max_contacts: int | None = None
    part_contacts: int | None = None
    part_bytes: int | None = None
    fields: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    pseudonymised: tuple[str, ...] = ()
    pseudonym_key: str | None = None
    expanded: tuple[str, ...] = ()
    tag_names: bool = False
    csv_raw: bool | None = None
    csv_bom: bool = False
    csv_phones: bool = False
    records: str = "exact"

    def differences(self, other: "OutputSettings") -> str:
        """Return the names of the settings that differ, for a message; empty if none differs.

        The page size counts only if the bytes depend on it. List or search does not count: an export is resumed
        as what it was started as.
        """
        names = [name for name in self.__slots__ if getattr(self, name) != getattr(other, name)]
        if {self.endpoint, other.endpoint} == {LIST_ENDPOINT, SEARCH_ENDPOINT}:
            names.remove("endpoint")
        if names == ["per_page"] and not self.why_pages_matter:
            return ""
        return ", ".join(name.replace("_", " ") for name in names)

    @property
    def named_paths(self) -> tuple[str, ...]:
        """Every field path in the settings: selected, dropped and pseudonymised."""
        return (*self.fields, *self.dropped, *self.pseudonymised)

    @property
    def why_pages_matter(self) -> str:
        """The reason why the bytes depend on the page size; empty if they do not."""
        if self.part_bytes is not None:
            return "a part holds whole pages, so the bytes depend on --per-page"
        if self.format in BY_NAME and BY_NAME[self.format].compression:
            return "each page is compressed by itself, so the bytes depend on --per-page"
        return ""


_SUMMARY_NAMES = {"max_contacts": "limited_to_contacts"}
"""Settings that have another name in a summary."""

_NOT_IN_SUMMARY = ("base_url", "endpoint", "api_version", "per_page", "format")
"""Settings that are in the summary's `source` or in its files' names, not in fields of the summary."""


def summary_settings(settings: OutputSettings) -> dict[str, Any]:
    """Return the settings by their names in a summary and in a manifest."""
    names = (field.name for field in dataclasses.fields(OutputSettings) if field.name not in _NOT_IN_SUMMARY)
    return {_SUMMARY_NAMES.get(name, name): getattr(settings, name) for name in names}


def settings_of(summary: Summary, file_format: str) -> OutputSettings:
    """Return the settings of a finished export.

    Args:
        summary: the summary in its manifest.
        file_format: the suffix of its files without the dot.
    """
    source = summary.source
    names = (field.name for field in dataclasses.fields(OutputSettings) if field.name not in _NOT_IN_SUMMARY)
    return OutputSettings(
        base_url=source.base_url,
        endpoint=source.endpoint,
        api_version=source.api_version,
        per_page=source.per_page,
        format=file_format,
        **{name: getattr(summary, _SUMMARY_NAMES.get(name, name)) for name in names},
    )


def csv_settings(raw: bool | None, *, bom: bool) -> dict[str, Any]:
    """Return the CSV settings by name; `raw` is None for other formats."""
    return {"csv_raw": raw, "csv_bom": bom, "csv_phones": raw is False}
