"""Files with a secret: which of them are safe to read, and how they are read."""

import codecs
import os
import stat
from pathlib import Path

from exporter.errors import ConfigError
from exporter.observe.logging import logger

_MAX_BYTES = 64 * 1024
_SECRET_MOUNT = "/run/secrets/"  # noqa: S105 - where Docker Swarm, Compose and Podman mount secrets
_KUBERNETES_DATA = "..data"
"""The link of a Kubernetes volume through which every file of it is read: `token -> ..data/token`."""


def read_secret(path: Path, what: str = "token", *, allow_readable: bool = False) -> bytes:
    """Read a small secret from a file that other users cannot read, or whose mode the user cannot change.

    Orchestrators mount secrets as readable by a group or by all users, and the
    container cannot change that: such files are read, with a warning if
    all users can read them. Kubernetes lets the group of `fsGroup` read files
    of any mode, so that a user other than root can: no mode is stricter.

    Args:
        path: the file; links are followed.
        what: what it holds, for messages.
        allow_readable: whether any file may be readable by others.

    Raises:
        ConfigError: others can read it.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        status = os.fstat(file.fileno())
        others_can_read = stat.S_ISREG(status.st_mode) and status.st_mode & (stat.S_IRGRP | stat.S_IROTH)
        if others_can_read and not allow_readable:
            reason = _why_mode_is_fixed(path, file.fileno(), status)
            if reason is None:
                raise ConfigError(
                    f"the {what} file {str(path)!r} can be read by others: chmod 600 it, "
                    "or use --allow-readable-secrets"
                )
            if status.st_mode & stat.S_IROTH:
                logger.warning(
                    "the %s file %r can be read by others; it is read because %s (in Kubernetes set "
                    "defaultMode: 0400, and fsGroup unless the user is root)",
                    *(what, str(path), reason),
                )
        return file.read(_MAX_BYTES)


def read_key(path: Path, *, allow_readable: bool = False) -> bytes:
    """Read the key for pseudonyms: the bytes of a file but for the line end of an editor.

    A byte-order mark stays: without it the key, and every pseudonym, would be
    another one than before.

    Raises:
        ConfigError: the file cannot be read, or others can read it.
    """
    try:
        key = read_secret(path, "key", allow_readable=allow_readable)
    except OSError as exc:
        raise ConfigError(f"the key file cannot be read: {exc.strerror}") from exc
    except ValueError:
        raise ConfigError("the key file cannot be read: invalid path") from None
    if key.startswith(codecs.BOM_UTF8):
        logger.warning(
            "the key file %r begins with a byte-order mark, which is part of the key: "
            "the same key without it gives other pseudonyms",
            str(path),
        )
    return key.rstrip(b"\r\n")


def _why_mode_is_fixed(path: Path, descriptor: int, status: os.stat_result) -> str | None:
    """Return why the user cannot change the mode of a file; None if that is possible."""
    if status.st_uid == 0 and os.geteuid() != 0:
        return "root owns it"
    if os.fstatvfs(descriptor).f_flag & os.ST_RDONLY:
        return "its file system is read-only"
    if os.path.realpath(path).startswith(_SECRET_MOUNT):
        return "it is a mounted secret"
    if path.is_symlink() and _KUBERNETES_DATA in path.readlink().parts:
        return "it is a mounted secret of Kubernetes"
    return None
