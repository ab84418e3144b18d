"""The parser: where settings come from, and in which order."""

from typing import TYPE_CHECKING

from cyclopts import App, Argument, ArgumentCollection, Parameter
from cyclopts.config import Env

from exporter._version import __version__
from exporter.cli.arguments import record_arguments, value_so_far
from exporter.cli.config_file import ConfigFile, ignore_empty_env_vars
from exporter.cli.option_conflicts import refuse_conflicts, resolve_exclusive_options
from exporter.cli.stderr import set_log_format

if TYPE_CHECKING:
    from collections.abc import Sequence


class ArgumentRecorder:
    """A step of the parser that records what earlier steps set, and opens the log file.

    Attributes:
        arguments: those of the latest command line.
        is_showing: whether settings are only shown: then no file is opened.
    """

    def __init__(self) -> None:
        self.arguments: Sequence[Argument] = ()
        self.is_showing = False

    def __call__(self, _app: App, commands: tuple[str, ...], arguments: ArgumentCollection) -> None:
        """Record the arguments; from here on errors are printed in the log format that the user chose."""
        self.arguments = arguments
        record_arguments(arguments)
        set_log_format(value_so_far(arguments, "--log-format") or "text")
        if not self.is_showing and (name := value_so_far(arguments, "--log-file")) is not None:
            from exporter.cli.log_file_check import open_log_file

            open_log_file(name, commands[0], arguments)


recorder = ArgumentRecorder()
app: App = App(
    name="intercom-exporter",
    help="Stream every contact out of an Intercom workspace: nothing lost, nothing changed, flat memory.",
    version=__version__,
    version_flags=["--version", "-V"],
    default_parameter=Parameter(show_env_var=False),
    config=(
        Env("INTERCOM_EXPORTER_", command=False),
        ignore_empty_env_vars,
        ConfigFile(lambda: app),
        resolve_exclusive_options,
        recorder,
        refuse_conflicts,
    ),
    result_action="return_value",
    suppress_keyboard_interrupt=False,
)
"""All commands; `exporter.cli.app` adds them."""
