"""``python -m exporter`` and the command ``intercom-exporter``."""

import os
from typing import NoReturn


def main() -> NoReturn:
    """Run the command and end the process with its exit code."""
    _occupy_standard_descriptors()
    try:
        from exporter.cli.main import main as run  # noqa: PLC0415 - an interruption may come this early

        code = run()
    except KeyboardInterrupt:
        code = 130
    # Not sys.exit: that would wait for a thread which hangs in a write nobody reads.
    os._exit(code)


def _occupy_standard_descriptors() -> None:
    """Let no file or socket of ours become stdin, stdout or stderr where one of them is closed."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:  # noqa: PLR2004 - the three
        pass
    os.close(descriptor)


if __name__ == "__main__":
    main()
