"""Scripts that complete commands, options, choices and, where a path is meant, the names of files."""

import re

from cyclopts import App

_PATHS = ("output", "config", "token-file", "key-file", "metrics-file", "log-file", "html", "from")
_ZSH = re.compile(rf"('\*--(?:{'|'.join(_PATHS)})\[.*\]|'\*-o\[.*\]):([^':]*)'")
_ZSH_PATH = re.compile(r"('1:The file[^':]*)'")


def completing(app: App, shell: str) -> str:
    """Make the script of a shell.

    Args:
        app: all commands.
        shell: bash, zsh or fish.
    """
    script = app.generate_completion(shell=shell)  # type: ignore[arg-type]
    match shell:
        case "bash":  # where it knows nothing, the shell does
            return script.replace("complete -F ", "complete -o bashdefault -o default -F ")
        case "zsh":
            return _ZSH_PATH.sub(r"\1:_files'", _ZSH.sub(r"\1:\2:_files'", script))
        case _:
            return script
