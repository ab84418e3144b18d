"""Generate `options.md` from the commands: every option with its variable, its default and an example.

python docs/make.py            # write it
python docs/make.py --check    # exit with 1 if it would change
"""

import sys
from collections.abc import Iterator
from pathlib import Path

from cyclopts import App, Argument

from exporter.cli.app import app

PAGE = Path(__file__).parent / "options.md"
COMMANDS = ("contacts", "demo", "check", "verify", "report", "sandbox", "schema", "config show", "completion")
_CONTACTS = "intercom-exporter contacts -o contacts.ndjson.gz"
EXAMPLES = {
    "contacts": {
        "region": f"{_CONTACTS} --region eu",
        "base-url": f"{_CONTACTS} --base-url https://api.eu.intercom.io",
        "token-file": f"{_CONTACTS} --token-file token.txt",
        "token-command": f"{_CONTACTS} --token-command 'pass show intercom'",
        "token-keyring": f"{_CONTACTS} --token-keyring acme",
        "allow-readable-secrets": f"{_CONTACTS} --token-file token.txt --allow-readable-secrets",
        "api-version": f"{_CONTACTS} --api-version 2.13",
        "per-page": f"{_CONTACTS} --per-page 50",
        "reserve": f"{_CONTACTS} --reserve 50",
        "timeout": f"{_CONTACTS} --timeout 2m",
        "idle-timeout": f"{_CONTACTS} --idle-timeout 1m",
        "max-retry-time": f"{_CONTACTS} --max-retry-time 10m",
        "max-run-retry-time": f"{_CONTACTS} --max-run-retry-time 1d",
        "insecure-http": f"{_CONTACTS} --base-url http://127.0.0.1:8080 --insecure-http",
        "output": "intercom-exporter contacts --output contacts.parquet",
        "mkdir": "intercom-exporter contacts -o backups/{date}/contacts.ndjson.gz --mkdir",
        "gzip": "intercom-exporter contacts --gzip > contacts.ndjson.gz",
        "consumers": f"{_CONTACTS} --consumers 4",
        "queue-pages": f"{_CONTACTS} --queue-pages 8",
        "allow-shortfall": f"{_CONTACTS} --allow-shortfall",
        "max-contacts": "intercom-exporter contacts --max-contacts 100 -o sample.ndjson",
        "max-duration": f"{_CONTACTS} --max-duration 6h",
        "overwrite": f"{_CONTACTS} --overwrite",
        "restart": f"{_CONTACTS} --restart",
        "format": "intercom-exporter contacts -o parts/ --format csv.gz",
        "csv-raw": "intercom-exporter contacts -o contacts.csv --csv-raw",
        "csv-bom": "intercom-exporter contacts -o contacts.csv --csv-bom",
        "part-contacts": "intercom-exporter contacts -o parts/ --part-contacts 1000000",
        "part-bytes": "intercom-exporter contacts -o parts/ --part-bytes 500MB",
        "checkpoint-every": f"{_CONTACTS} --checkpoint-every 10s",
        "min-free-disk": f"{_CONTACTS} --min-free-disk 1MB",
        "expand": f"{_CONTACTS} --expand tags,notes",
        "expand-concurrency": f"{_CONTACTS} --expand companies --expand-concurrency 10",
        "tag-names": f"{_CONTACTS} --expand tags --tag-names",
        "fields": "intercom-exporter contacts --fields id,email,location.country > emails.ndjson",
        "drop": f"{_CONTACTS} --drop phone,location.city",
        "pseudonymise": f"{_CONTACTS} --pseudonymise email,name --key-file secret.key",
        "key-file": f"{_CONTACTS} --pseudonymise phone --key-file secret.key",
        "records": "intercom-exporter contacts -o contacts.ndjson --records normalized",
        "cursors": "intercom-exporter contacts -o contacts/ --cursors 32",
        "prove": "intercom-exporter contacts -o contacts/ --cursors 32 --prove ids",
        "settle": "intercom-exporter contacts -o contacts/ --cursors 32 --settle 1m",
        "progress": f"{_CONTACTS} --progress json",
        "quiet": f"{_CONTACTS} --quiet",
        "verbose": f"{_CONTACTS} --verbose",
        "log-format": f"{_CONTACTS} --log-format json",
        "log-file": f"{_CONTACTS} --log-file contacts.log",
        "config": "intercom-exporter contacts --config settings.toml",
        "metrics-port": f"{_CONTACTS} --metrics-port 0",
        "metrics-host": f"{_CONTACTS} --metrics-port 0 --metrics-host localhost",
        "metrics-file": f"{_CONTACTS} --metrics-file intercom.prom",
    },
    "demo": {
        "contacts": "intercom-exporter demo --contacts 100 -o demo.ndjson",
        "hostile": "intercom-exporter demo --contacts 100 --hostile -o demo.ndjson",
    },
    "check": {
        "json": "intercom-exporter check -o contacts.ndjson.gz --json",
        "strict": "intercom-exporter check -o contacts.ndjson.gz --min-free-disk 1MB --strict || echo 'look first'",
    },
    "verify": {
        "path": "intercom-exporter verify finished.ndjson.gz",
        "strict": "intercom-exporter verify finished.ndjson.gz --strict",
    },
    "report": {
        "path": "intercom-exporter report finished.ndjson.gz",
        "html": "intercom-exporter report finished.ndjson.gz --html report.html",
        "replace": "intercom-exporter report finished.ndjson.gz --html report.html --replace",
    },
    "sandbox": {
        "contacts": "intercom-exporter sandbox --contacts 500",
        "from": "intercom-exporter sandbox --from finished.ndjson.gz",
        "seed": "intercom-exporter sandbox --seed 7",
        "port": "intercom-exporter sandbox --port 0",
        "token": "intercom-exporter sandbox --token made-up",
        "latency-ms": "intercom-exporter sandbox --latency-ms 900",
        "rate-limit": "intercom-exporter sandbox --rate-limit 83",
        "fault": "intercom-exporter sandbox --fault http_503=10 --fault reset@3",
        "change": "intercom-exporter sandbox --change insert=5 --change delete=7",
        "gzip": "intercom-exporter sandbox --no-gzip",
        "hostile": "intercom-exporter sandbox --hostile",
        "years": "intercom-exporter sandbox --years 8",
        "hot-day": "intercom-exporter sandbox --years 8 --hot-day 0.6",
        "live": "intercom-exporter sandbox --live --change insert=3",
        "timezone": "intercom-exporter sandbox --timezone America/Los_Angeles",
        "search": "intercom-exporter sandbox --search second",
        "search-lag": "intercom-exporter sandbox --live --search-lag 2m",
        "search-cap": "intercom-exporter sandbox --search-cap 10000",
        "search-missing": "intercom-exporter sandbox --search-missing 1",
        "search-unsettled": "intercom-exporter sandbox --search-unsettled 1",
        "search-id-suffix": "intercom-exporter sandbox --no-search-id-suffix",
        "print-env": 'eval "$(intercom-exporter sandbox --print-env &)"; kill "$SANDBOX_PID"',
        "config": "intercom-exporter sandbox --config settings.toml",
    },
    "schema": {
        "of": "intercom-exporter schema --of events",
        "format": "intercom-exporter schema --format json-schema",
    },
    "config show": {
        "command": "intercom-exporter config show contacts --per-page 50",
        "json": "intercom-exporter config show --json",
    },
    "completion": {"shell": "intercom-exporter completion bash"},
}
"""Examples by command and option; options of several commands have one example, for `contacts`."""

_FEW = 5
_INTRODUCTION = """# Commands and options

Made by `python docs/make.py` of the commands themselves; the tests run every example. An option can also be set by its
variable, or in the file that `--config` names: `per-page = 50`. The order is option, variable, file, default;
`intercom-exporter config show` tells where each value came from.
"""


def page() -> str:
    """Return the text of the page."""
    return "\n".join([_INTRODUCTION, *(_section(command) for command in COMMANDS)])


def arguments_of(command: str) -> list[Argument]:
    """Return the arguments of a command that users can set."""
    found = _app_of(command).assemble_argument_collection(parse_docstring=True)
    return [argument for argument in found if not argument.children and argument.show]


def name_of(argument: Argument) -> str:
    """Return the name of an argument, without dashes."""
    return argument.name.removeprefix("--").lower()


def _app_of(command: str) -> App:
    found = app
    for word in command.split():
        found = found[word]
    return found


def _section(command: str) -> str:
    return "\n".join([f"## {command}\n", f"{_app_of(command).help.splitlines()[0]}\n", *_table(command), ""])


def _table(command: str) -> Iterator[str]:
    shared = {name_of(argument) for argument in arguments_of("contacts")} if command != "contacts" else set()
    examples = EXAMPLES[command]
    rows = [argument for argument in arguments_of(command) if name_of(argument) in examples]
    others = [name_of(argument) for argument in arguments_of(command) if name_of(argument) not in examples]
    if set(others) - shared:
        raise LookupError(f"{command} has options without an example: {set(others) - shared}")
    yield "| Option | Default | Does | Example |"
    yield "|---|---|---|---|"
    for argument in rows:
        yield f"| {_names(argument)} | {_default(argument)} | {_meaning(argument)} | `{examples[name_of(argument)]}` |"
    missing = [f"`--{name}`" for name in sorted(shared - set(others) - set(examples))]
    if others and len(missing) <= _FEW:
        yield f"\nAnd the options of `contacts`{', but for ' if missing else ''}{', '.join(missing)}."
    elif others:
        yield f"\nAnd, of `contacts`: {', '.join(f'`--{name}`' for name in others)}."


def _names(argument: Argument) -> str:
    if not argument.name.startswith("--"):
        return f"`{argument.name}`"
    value = argument.parameter.metavar
    positives = [name for name in argument.names if name not in argument.negatives]
    names = [f"{name} {value}" if value and name.startswith("--") else name for name in positives]
    return ", ".join(f"`{name}`" for name in [*names, *argument.negatives]).replace("|", "\\|")


def _default(argument: Argument) -> str:
    default = argument.field_info.default
    if default is None or default is False or default == () or not argument.name.startswith("--"):
        return ""
    show = argument.parameter.show_default
    if callable(show):
        return f"`{show(default)}`"
    return f"`{'yes' if default is True else f'{default:g}' if isinstance(default, float) else default}`"


def _meaning(argument: Argument) -> str:
    text = " ".join((argument.parameter.help or "").split())
    choices = argument.get_choices()
    more = f" One of {', '.join(f'`{choice}`' for choice in choices)}." if len(choices or ()) > 1 else ""
    return f"{text}{more}".replace("|", "\\|")


def main() -> int:
    """Write the page, or compare it."""
    if "--check" in sys.argv:
        return 0 if PAGE.read_text(encoding="utf-8") == page() else 1
    PAGE.write_text(page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
