"""The command `completion`: prints a script that completes commands, options, choices and paths in a shell."""

import re
from typing import Literal

from exporter.cli.exit_codes import COMPLETE
from exporter.cli.parser import app

_PATH_OPTIONS = ("output", "config", "token-file", "key-file", "metrics-file", "log-file", "html", "from")
_ZSH_OPTION = re.compile(rf"('\*--(?:{'|'.join(_PATH_OPTIONS)})\[.*\]|'\*-o\[.*\]):([^':]*)'")
_ZSH_ARGUMENT = re.compile(r"('1:The file[^':]*)'")


def completion(shell: Literal["bash", "zsh", "fish"], /) -> int:
    """Print a script that completes commands and options in a shell.

    Parameters
    ----------
    shell
        bash: `intercom-exporter completion bash > ~/.local/share/bash-completion/completions/intercom-exporter`;
        zsh: into a file `_intercom-exporter` in a folder of `$fpath`;
        fish: `intercom-exporter completion fish > ~/.config/fish/completions/intercom-exporter.fish`.
    """
    print(_with_paths(app.generate_completion(shell=shell), shell))  # noqa: T201
    return COMPLETE


def _with_paths(script: str, shell: str) -> str:
    """Return the script of a shell, with names of files where an option or argument is a path."""
    match shell:
        case "bash":  # what the script does not complete, the shell does
            return script.replace("complete -F ", "complete -o bashdefault -o default -F ")
        case "zsh":
            return _ZSH_ARGUMENT.sub(r"\1:_files'", _ZSH_OPTION.sub(r"\1:\2:_files'", script))
        case _:
            return script
