"""The command `intercom-exporter`: its commands, and how a run ends. What a run does not need is not imported."""

import io
import sys
from collections.abc import Sequence

from cyclopts import App

from exporter.cli.commands.check import check
from exporter.cli.commands.completion import completion
from exporter.cli.commands.config_show import show
from exporter.cli.commands.contacts import contacts
from exporter.cli.commands.demo import demo
from exporter.cli.commands.report import report
from exporter.cli.commands.sandbox import sandbox
from exporter.cli.commands.schema import schema
from exporter.cli.commands.verify import verify
from exporter.cli.error_report import report_exception
from exporter.cli.exit_codes import COMPLETE
from exporter.cli.help_text import CHECK_EPILOGUE, EXPORT_EPILOGUE
from exporter.cli.parser import app
from exporter.cli.process_tuning import limit_columns

__all__ = ["app", "main"]

app.command(contacts, help_epilogue=EXPORT_EPILOGUE)
app.command(demo, help_epilogue=EXPORT_EPILOGUE)
app.command(check, help_epilogue=CHECK_EPILOGUE)
app.command(schema, config=())
app.command(verify)
app.command(report)
app.command(sandbox)
_config = App(name="config", help="Inspect settings.", config=())
_config.command(show)
app.command(_config)
app.command(completion, config=())


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return its exit code. An error is one line on stderr."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a locale without a letter is no reason to fail
    limit_columns()
    try:
        code = app(sys.argv[1:] if arguments is None else arguments, print_error=False, exit_on_error=False)
        if sys.stdout is not None:
            sys.stdout.flush()
    except (Exception, KeyboardInterrupt, SystemExit) as error:  # noqa: BLE001 - the last resort
        return report_exception(error)
    return code or COMPLETE
