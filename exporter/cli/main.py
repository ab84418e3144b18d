"""The commands. What a run does not need is not imported."""

import io
import sys
from collections.abc import Sequence
from typing import Annotated, Literal

from cyclopts import App, Parameter
from cyclopts.config import Env

from exporter._version import __version__
from exporter.cli import exits, manual
from exporter.cli.completing import completing
from exporter.cli.config import SettingsFile, clean_variables
from exporter.cli.conflicts import keep_closest, refuse_conflicts
from exporter.cli.schema_command import schema
from exporter.cli.settings import MetricsOptions, OutputOptions, ReportOptions, SourceOptions
from exporter.cli.shaping import ShapeOptions
from exporter.cli.showing import Recorder, settings_shown
from exporter.cli.tuning import bound_columns
from exporter.cli.values import File, Flag, PathToExport, Port, Words, number, whole

_recorder = Recorder()
app: App = App(
    name="intercom-exporter",
    help="Stream every contact out of an Intercom workspace: nothing lost, nothing changed, flat memory.",
    version=__version__,
    version_flags=["--version", "-V"],
    default_parameter=Parameter(show_env_var=False),
    config=(
        Env("INTERCOM_EXPORTER_", command=False),
        clean_variables,
        SettingsFile(lambda: app),
        keep_closest,
        _recorder,
        refuse_conflicts,
    ),
    result_action="return_value",
    suppress_keyboard_interrupt=False,
)

_SOURCE = SourceOptions()
_OUTPUT = OutputOptions()
_SHAPE = ShapeOptions()
_REPORT = ReportOptions()
_METRICS = MetricsOptions()


@app.command(help_epilogue=manual.EXPORT)
async def contacts(
    source: SourceOptions = _SOURCE,
    output: OutputOptions = _OUTPUT,
    shape: ShapeOptions = _SHAPE,
    report: ReportOptions = _REPORT,
    metrics: MetricsOptions = _METRICS,
) -> int:
    """Export every contact of a workspace.

    The access token comes from the environment variable INTERCOM_ACCESS_TOKEN, a file, a program or the keyring.
    Archived, deleted and merged contacts are not listed by Intercom.
    """
    output.check()
    from exporter.cli.exporting import Job, export_and_tell

    return await export_and_tell(Job("contacts", source.intercom, source, output, shape, report, metrics))


@app.command(help_epilogue=manual.EXPORT)
async def demo(  # noqa: PLR0913 - one group of options each
    source: SourceOptions = _SOURCE,
    output: OutputOptions = _OUTPUT,
    shape: ShapeOptions = _SHAPE,
    report: ReportOptions = _REPORT,
    metrics: MetricsOptions = _METRICS,
    *,
    contacts: Annotated[int, whole(0, 10**9)] = 10_000,
    hostile: Flag = False,
) -> int:
    """Run the export against a built-in fake Intercom: no account, no network.

    Takes the options of `contacts`; those that name the API have no effect.

    Parameters
    ----------
    contacts
        Number of synthetic contacts.
    hostile
        Give one contact in a thousand values that break careless programs.
    """
    output.check()
    from exporter.cli.exporting import Job, export_and_tell, made_up

    workspace = made_up(source, contacts, hostile=hostile)
    return await export_and_tell(Job("demo", workspace, source, output, shape, report, metrics))


@app.command(help_epilogue=manual.CHECK)
async def check(  # noqa: PLR0913 - one group of options each
    source: SourceOptions = _SOURCE,
    output: OutputOptions = _OUTPUT,
    shape: ShapeOptions = _SHAPE,
    report: ReportOptions = _REPORT,
    *,
    json: Flag = False,
    strict: Flag = False,
) -> int:
    """Check a workspace and an output before a long run: two or three requests, nothing is written.

    Takes the options of `contacts`. Likely problems are listed as warnings; estimates are made from the first page.

    Parameters
    ----------
    json
        Print one JSON object instead of lines.
    strict
        Exit with 2 if there is a warning.
    """
    from exporter.cli.checking import check_and_tell

    return await check_and_tell(source, output, shape, report, as_json=json, strict=strict)


app.command(schema, config=())


@app.command
async def verify(path: PathToExport, /, *, strict: Flag = False, report: ReportOptions = _REPORT) -> int:
    """Recheck a finished export offline against its manifest.

    Checks sizes, SHA-256, compression, lines, rows or columns. Exits with 7 and prints a line for each difference.
    Duplicate contacts are counted; they are no difference, since a workspace changes while it is read.

    Parameters
    ----------
    path
        The file, or the folder of parts; or its manifest.
    strict
        Also exit with 7 when there are duplicate contacts.
    """
    from exporter.cli.verifying import verify_and_tell

    return await verify_and_tell(path, report, strict=strict)


@app.command
async def report(
    path: PathToExport,
    /,
    *,
    html: Annotated[str | None, Parameter(name=("--html", "-o"), allow_leading_hyphen=True, metavar="FILE")] = None,
    replace: Flag = False,
    report: ReportOptions = _REPORT,
) -> int:
    """Create an HTML report of a finished export: what it holds, and how the export went.

    Contacts by role, month and country; fill rate of each field and custom attribute; duplicates; the course of the
    export. No values of contacts, no external resources. Needs the extra [report].

    Parameters
    ----------
    path
        The file, or the folder of parts; or its manifest.
    html
        File to write; default: `PATH.report.html`; `-` is stdout.
    replace
        Replace an existing file of that name that is not a report.
    """
    from exporter.cli.reporting import report_and_tell

    return await report_and_tell(path, html, report, replace=replace)


@app.command
async def sandbox(  # noqa: PLR0913 - one option each
    *,
    contacts: Annotated[int | None, whole(0, 10**9)] = None,
    from_: Annotated[str | None, Parameter(name="--from", metavar="PATH")] = None,
    seed: Annotated[int, whole(-(2**63), 2**63)] = 1,
    port: Port = 0,
    token: Annotated[str | None, Parameter(metavar="TOKEN")] = None,
    latency_ms: Annotated[float, number(0, 86_400_000, "MS")] = 0,
    rate_limit: Annotated[int | None, whole(1, 10**9)] = None,
    fault: Words = None,
    change: Words = None,
    gzip: bool = True,
    hostile: bool = False,
    print_env: Flag = False,
    config: File = None,
) -> int:
    """Serve a fake of Intercom's contacts API on 127.0.0.1, until stopped.

    The first line on stdout is JSON: base_url and token. The page at base_url lists what is served.

    Parameters
    ----------
    contacts
        Number of contacts in its workspace; default: 10,000.
    from_
        A finished export (file, folder of parts or manifest) that is served instead, NDJSON or Parquet: exporting it
        again gives the same bytes.
    seed
        Random seed: the same seed gives the same contacts.
    port
        TCP port; 0 takes a free one.
    token
        The access token it asks for; made up if not given.
    latency_ms
        Milliseconds each answer takes at least.
    rate_limit
        Calls per window of ten seconds; none in practice if not given.
    fault
        What goes wrong: NAME=EVERY (each so many requests), NAME@PAGE (once) or NAME@PAGExTIMES. Names:
        http_500, http_503, http_429, reset, truncate, empty_200, html_200, slow, cursor_loop.
    change
        How the workspace changes while it is read: NAME=EVERY (after each so many pages), NAME@PAGE (once, after
        that page) or NAME@PAGExTIMES (so many at once). Names: insert, update, delete, merge.
    gzip
        Compress answers for clients that ask for it.
    hostile
        Let one contact in a thousand hold values that break careless programs.
    print_env
        Print lines for `eval` instead: access token, base URL, and its process id as `SANDBOX_PID`.
    config
        TOML file with settings, such as `contacts = 500` in a table `[sandbox]`.
    """
    del config  # it has been read
    from exporter.cli.serving import serve

    return await serve(
        contacts,
        from_,
        seed=seed,
        port=port,
        token=token,
        latency_ms=latency_ms,
        rate_limit=rate_limit,
        faults=fault or (),
        changes=change or (),
        gzip=gzip,
        hostile=hostile,
        print_env=print_env,
    )


_settings = App(name="config", help="Inspect settings.", config=())
app.command(_settings)


@_settings.command
def show(
    *words: Annotated[str, Parameter(allow_leading_hyphen=True, name="command", metavar="WORD")],
    json: Flag = False,
) -> int:
    """Show each setting of a command and where it came from: option, environment, file or default.

    No access token is shown, nor is one asked for.

    Parameters
    ----------
    words
        A command and its options, as they would be given to it; `contacts` if none is named.
    json
        Print one JSON object instead of a table.
    """
    print(settings_shown(app, _recorder, words, as_json=json))  # noqa: T201
    return exits.COMPLETE


@app.command(config=())
def completion(shell: Literal["bash", "zsh", "fish"], /) -> int:
    """Print a script that completes commands and options in a shell.

    Parameters
    ----------
    shell
        bash: `intercom-exporter completion bash > ~/.local/share/bash-completion/completions/intercom-exporter`;
        zsh: into a file `_intercom-exporter` in a folder of `$fpath`;
        fish: `intercom-exporter completion fish > ~/.config/fish/completions/intercom-exporter.fish`.
    """
    print(completing(app, shell))  # noqa: T201
    return exits.COMPLETE


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; give its exit code. Whatever goes wrong, it is one line on stderr."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a locale without a letter is no reason to fail
    bound_columns()
    try:
        code = app(sys.argv[1:] if arguments is None else arguments, print_error=False, exit_on_error=False)
        if sys.stdout is not None:
            sys.stdout.flush()
    except (Exception, KeyboardInterrupt, SystemExit) as error:  # noqa: BLE001 - the last resort
        return exits.end(error)
    return code or exits.COMPLETE
