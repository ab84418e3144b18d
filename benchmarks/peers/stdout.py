"""The stdout of a tool."""

import os
import sys
from pathlib import Path


def into(output: str) -> None:
    """Redirect the stdout of this process to a file, same as ``>`` in a shell."""
    sys.stdout.flush()
    with Path(output).open("wb") as file:
        os.dup2(file.fileno(), sys.stdout.fileno())
