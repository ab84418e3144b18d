"""Where what a tool prints goes."""

import os
import sys
from pathlib import Path


def into(output: str) -> None:
    """Make a file of this process's stdout, as ``>`` does in a shell."""
    sys.stdout.flush()
    with Path(output).open("wb") as file:
        os.dup2(file.fileno(), sys.stdout.fileno())
