"""Which certificate authorities are trusted."""

import os
import ssl

from exporter.errors import ConfigError

_FILE, _FOLDER = "SSL_CERT_FILE", "SSL_CERT_DIR"


def trusted_authorities() -> ssl.SSLContext | None:
    """Return TLS settings with the authorities that the environment names; None for the system's authorities.

    The HTTP library loads those when it is imported.

    Raises:
        ConfigError: a variable names no certificates.
    """
    file, folders = os.environ.get(_FILE), os.environ.get(_FOLDER)
    if not file and not folders:
        return None
    paths = ssl.get_default_verify_paths()
    if folders and not any(map(os.path.isdir, folders.split(os.pathsep))):
        raise ConfigError(f"{_FOLDER} names {folders!r}, which is no folder that can be read")
    named = f"{_FILE} names {file!r}" if file else f"{_FOLDER} names {folders!r}"
    try:
        context = ssl.create_default_context(cafile=file or paths.cafile, capath=folders or paths.capath)
    except ssl.SSLError:
        raise ConfigError(f"{named}, which has no certificates in PEM form") from None
    except OSError as exc:
        raise ConfigError(f"{named}, which cannot be read: {exc.strerror}") from None
    context.set_alpn_protocols(("http/1.1",))
    return context
