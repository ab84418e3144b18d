"""Every error that this package raises. Each class tells the caller what to do.

::

    ExporterError
    ├── ConfigError          an argument, option or setting is invalid: change it
    ├── SourceError          a request to the API failed
    │   ├── CredentialsError   401 or 403: get another token
    │   ├── ApiError           any other refusal (4xx, a redirect, TLS, a proxy): change what it names
    │   │   └── CursorError      the API does not accept its own cursor any more: start over
    │   ├── ContractError      an invalid response: report it
    │   └── RetriesExhausted   transient failures outlasted the retry budget: try again later
    ├── SinkError            the destination failed: fix what it names, then run it again
    └── CheckpointError      the existing export cannot be resumed: start over

``str()`` says what happened; attributes hold the details. No message holds a
token or a contact's data.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class ExporterError(Exception):
    """Any failure that this package reports."""


class ConfigError(ExporterError):
    """An argument or setting is invalid; nothing was requested and nothing written.

    Attributes:
        keywords: the arguments that the message names, spelled as in the message. The
            command replaces them by its options.
    """

    def __init__(self, message: str, *keywords: str) -> None:
        super().__init__(message)
        self.keywords = keywords


class SourceError(ExporterError):
    """A request to the API failed.

    Attributes:
        status: HTTP status of the response, None without a response.
        code: first ``errors[].code`` of Intercom's error envelope, None without one.
        request_id: Intercom's id of the request, for Intercom's support; None if unknown.
    """

    def __init__(
        self, message: str, *, status: int | None = None, code: str | None = None, request_id: str | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.request_id = request_id


class CredentialsError(SourceError):
    """The token was refused (401) or lacks a permission (403)."""


class ApiError(SourceError):
    """The API refused the request permanently, or no connection to it can be made.

    Another 4xx or a redirect; without a ``status``, a certificate that is not
    trusted, the wrong scheme, an unknown host or a proxy's refusal.
    """


class CursorError(ApiError):
    """The API does not accept a cursor any more that it sent itself (400 that names it, 404, 410)."""


class ContractError(SourceError):
    """The API sent an invalid response, or an export with several cursors is not proven complete.

    Invalid: it is not JSON, has another shape, repeats a cursor, or is larger than the limit.
    Not proven: the message says what differs, and what to do.
    """


class RetriesExhausted(SourceError):  # noqa: N818 - a contract name
    """Transient failures used up the retry budget.

    Attributes:
        attempts: requests for this page.
        waited_s: seconds spent waiting between them.
    """

    def __init__(  # noqa: PLR0913 - one keyword per attribute
        self,
        message: str,
        *,
        attempts: int = 0,
        waited_s: float = 0.0,
        status: int | None = None,
        code: str | None = None,
        request_id: str | None = None,
    ) -> None:
        super().__init__(message, status=status, code=code, request_id=request_id)
        self.attempts = attempts
        self.waited_s = waited_s


class SinkError(ExporterError):
    """The destination failed or cannot be used.

    Attributes:
        path: the file or folder, None for stdout and temporary files.
    """

    def __init__(self, message: str, *, path: "Path | None" = None) -> None:
        super().__init__(message)
        self.path = path


class CheckpointError(ExporterError):
    """The existing export at the output cannot be resumed.

    It was made with other settings, it is damaged, or the API does not accept
    its cursor any more. Committed files stay unchanged; ``restart`` or ``overwrite``
    starts over.

    Attributes:
        path: the checkpoint, manifest or part that the message is about.
    """

    def __init__(self, message: str, *, path: "Path | None" = None) -> None:
        super().__init__(message)
        self.path = path
