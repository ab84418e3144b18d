"""``python -m exporter`` and the command ``intercom-exporter``.

Nothing is imported before signals are taken care of: an interruption may come
while Python still imports the rest.
"""

import _signal  # type: ignore[import-not-found]  # what `signal` is made of: importing that takes longer than all that is done here
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

_STOPPING = {_signal.SIGINT: "SIGINT", _signal.SIGTERM: "SIGTERM", _signal.SIGHUP: "SIGHUP"}
_SIGNALLED = 128


def main() -> "NoReturn":
    """Run the command and end the process with its exit code."""
    for number in _STOPPING:
        if _signal.getsignal(number) is not _signal.SIG_IGN:  # as `nohup` and shells ask for
            _signal.signal(number, _stop)
    _occupy_standard_descriptors()
    from exporter.cli.app import main as run  # noqa: PLC0415 - an interruption may come this early

    try:
        code = run()
    except KeyboardInterrupt:  # the loop that handled signals has ended
        code = _SIGNALLED + _signal.SIGINT
    # Not sys.exit: that would wait for a thread that hangs while it writes to a blocked pipe.
    os._exit(code)


def _stop(number: int, _frame: object) -> "NoReturn":
    """End the process before a job has begun, or after it has ended: there is nothing to clean up."""
    line = f"intercom-exporter: stopped by {_STOPPING[number]} before it began; run the same command again\n"
    try:
        os.set_blocking(2, False)
        os.write(2, line.encode())
    finally:
        os._exit(_SIGNALLED + number)


def _occupy_standard_descriptors() -> None:
    """Open closed standard descriptors, so that no file or socket of this program becomes stdin, stdout or stderr."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:  # noqa: PLR2004 - the three
        pass
    os.close(descriptor)


if __name__ == "__main__":
    main()
