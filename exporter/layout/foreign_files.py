"""Files that operating systems, file viewers and storage devices create in any folder; they belong to no export."""

_SYSTEM_NAMES = {
    *("lost+found", "aquota.user", "aquota.group", "quota.user", "quota.group"),  # file systems of Linux
    *("thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini"),  # Windows
    *("$recycle.bin", "recycler", "system volume information"),
    *("icon\r", "__macosx", "network trash folder", "temporary items", "thevolumesettingsfolder"),  # macOS
    *("@eadir", "@tmp", "@recycle", "@recently-snapshot", "#recycle", "#snapshot", "~snapshot"),  # NAS
}
COMPLETION_MARKERS = {"_SUCCESS"}
"""Files that programs such as Spark create to mark a complete data set."""


def is_ignored_name(name: str) -> bool:
    """Return whether a name is hidden or belongs to an operating system, a file viewer or a storage device."""
    return name.startswith(".") or name.casefold() in _SYSTEM_NAMES
