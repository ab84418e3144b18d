"""Files and folders that systems, viewers and storage put into any folder: no part of an export, and no data."""

_NAMES = {
    *("lost+found", "aquota.user", "aquota.group", "quota.user", "quota.group"),  # file systems of Linux
    *("thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini"),  # Windows
    *("$recycle.bin", "recycler", "system volume information"),
    *("icon\r", "__macosx", "network trash folder", "temporary items", "thevolumesettingsfolder"),  # macOS
    *("@eadir", "@tmp", "@recycle", "@recently-snapshot", "#recycle", "#snapshot", "~snapshot"),  # NAS
}
MARKERS = {"_SUCCESS"}
"""What programs such as Spark put beside a complete data set."""


def is_dropping(name: str) -> bool:
    """Return whether a name is hidden, or one that something else than a user gives."""
    return name.startswith(".") or name.casefold() in _NAMES
