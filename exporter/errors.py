"""Every error this package raises, named by what the catcher does next.

::

    ExporterError
    ├── ConfigError          an argument, option or setting is wrong: change it
    ├── SourceError          the API did not give what was asked for
    │   ├── CredentialsError   401 or 403: get another token
    │   ├── ApiError           any other refusal (4xx, a redirect, TLS, a proxy): change what it names
    │   │   └── CursorError      a cursor it gave is not accepted any more: start over
    │   ├── ContractError      an invalid response: report it
    │   └── RetriesExhausted   transient failures outlasted the retry budget: try again later
    ├── SinkError            the destination failed: fix what it names, then run it again
    └── CheckpointError      an unfinished or finished export cannot be resumed: start over

What happened is in ``str()``, the figures are in attributes. No message ever
holds a token or a contact's data.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class ExporterError(Exception):
    """Any failure this package reports."""


class ConfigError(ExporterError):
    """An argument or setting is wrong; nothing was requested and nothing written.

    Attributes:
        keywords: the arguments that the message names, spelled as in it. The
            command puts its options in their places.
    """

    def __init__(self, message: str, *keywords: str) -> None:
        super().__init__(message)
        self.keywords = keywords


class SourceError(ExporterError):
    """The API did not give what was asked for.

    Attributes:
        status: HTTP status of the answer, None when there was none.
        code: first ``errors[].code`` of Intercom's error envelope, if any.
        request_id: Intercom's id of the request, for its support.
    """

    def __init__(
        self, message: str, *, status: int | None = None, code: str | None = None, request_id: str | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.request_id = request_id


class CredentialsError(SourceError):
    """The token was refused (401) or may not do this (403)."""


class ApiError(SourceError):
    """The API refused the request permanently, or no connection to it can be made.

    Another 4xx or a redirect; without a ``status``, a certificate that is not
    trusted, the wrong scheme, an unknown host or a proxy's refusal.
    """


class CursorError(ApiError):
    """The API does not accept a cursor any more that it gave itself (400 naming it, 404, 410)."""


class ContractError(SourceError):
    """The API answered with something that cannot be believed.

    Not JSON, JSON of another shape, a cursor that comes back, an answer over
    the size limit.
    """


class RetriesExhausted(SourceError):  # noqa: N818 - a contract name
    """A passing failure did not pass within the retry budget.

    Attributes:
        attempts: requests made for this one page.
        waited_s: seconds spent waiting between them.
    """

    def __init__(  # noqa: PLR0913 - figures, each by its name
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
        path: the file or folder meant, None for stdout and for temporary files.
    """

    def __init__(self, message: str, *, path: "Path | None" = None) -> None:
        super().__init__(message)
        self.path = path


class CheckpointError(ExporterError):
    """What stands at the output cannot be resumed.

    It was made with other settings, it is damaged, or the API does not know
    its cursor any more. What is committed stays as it is; ``restart`` or
    ``overwrite`` starts over.

    Attributes:
        path: of the checkpoint, manifest or part meant.
    """

    def __init__(self, message: str, *, path: "Path | None" = None) -> None:
        super().__init__(message)
        self.path = path
