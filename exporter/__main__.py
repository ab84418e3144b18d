"""``python -m exporter`` and the command ``intercom-exporter``."""

import os
from typing import NoReturn


def main() -> NoReturn:
    """Run the command and end the process with its exit code."""
    try:
        from exporter.cli.main import main as run  # noqa: PLC0415 - an interruption may come this early

        code = run()
    except KeyboardInterrupt:
        code = 130
    # Not sys.exit: that would wait for a thread which hangs in a write nobody reads.
    os._exit(code)


if __name__ == "__main__":
    main()
