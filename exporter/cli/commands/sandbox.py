"""The command `sandbox`: serves a fake of Intercom's contacts API."""

import os
import shlex
import sys
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from exporter.cli.converters import File, Flag, Port, RepeatedText, duration, integer, number
from exporter.cli.exit_codes import COMPLETE
from exporter.errors import ConfigError

if TYPE_CHECKING:
    from exporter.sandbox import Sandbox

_CONTACTS = 10_000


async def sandbox(  # noqa: PLR0913 - one option each
    *,
    contacts: Annotated[int | None, integer(0, 10**9)] = None,
    from_: Annotated[str | None, Parameter(name="--from", metavar="PATH")] = None,
    seed: Annotated[int, integer(-(2**63), 2**63)] = 1,
    port: Port = 0,
    token: Annotated[str | None, Parameter(metavar="TOKEN")] = None,
    latency_ms: Annotated[float, number(0, 86_400_000, "MS")] = 0,
    rate_limit: Annotated[int | None, integer(1, 10**9)] = None,
    fault: RepeatedText = None,
    change: RepeatedText = None,
    gzip: bool = True,
    hostile: bool = False,
    years: Annotated[float | None, number(0.001, 1_000, "YEARS")] = None,
    hot_day: Annotated[float, number(0, 1, "SHARE")] = 0,
    live: Flag = False,
    timezone: Annotated[str, Parameter(metavar="ZONE")] = "Europe/Dublin",
    search: Annotated[Literal["day", "second"] | None, Parameter(metavar="PRECISION")] = None,
    search_lag: Annotated[float, duration(0, 86_400)] = 0,
    search_cap: Annotated[int | None, integer(1, 10**9)] = None,
    search_missing: Annotated[int, integer(0, 10**9)] = 0,
    search_unsettled: Annotated[int, integer(0, 10**9)] = 0,
    search_id_suffix: bool = True,
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
        A finished export (file, folder of parts or manifest) to serve instead, NDJSON or Parquet: exporting it
        again gives the same bytes.
    seed
        Random seed: the same seed gives the same contacts.
    port
        TCP port; 0 picks a free one.
    token
        The access token that it accepts; default: one derived from the seed.
    latency_ms
        Minimum milliseconds per response.
    rate_limit
        Requests per window of ten seconds; default: practically unlimited.
    fault
        Faults to inject: NAME=EVERY (each so many requests), NAME@PAGE (once) or NAME@PAGExTIMES. Names:
        http_500, http_503, http_429, reset, truncate, empty_200, html_200, slow, cursor_loop.
    change
        Changes to the workspace while it is read: NAME=EVERY (after each so many pages), NAME@PAGE (once, after
        that page) or NAME@PAGExTIMES (so many at once). Names: insert, update, delete, merge.
    gzip
        Compress responses for clients that accept it.
    hostile
        Give one contact in a thousand values that break naive parsers.
    years
        Spread the creation of the contacts over so many years; default: one contact each 30 seconds.
    hot_day
        Share of the contacts that is created on one day, from 0 to 1.
    live
        Give new and updated contacts the current time, instead of times from the seed.
    timezone
        The workspace's time zone, such as America/Los_Angeles.
    search
        Whether dates in a search match by day or by second; default: by the API version.
    search_lag
        Time until a new or updated contact appears in a search.
    search_cap
        Maximum of the count that a search reports; default: the exact count.
    search_missing
        Number of contacts that no search finds.
    search_unsettled
        Number of contacts that searches count twice, but not those with one contact per page.
    search_id_suffix
        Accept the operator `$` (ends with) for ids in a search.
    print_env
        Print lines for `eval` instead: access token, base URL, and its process id as `SANDBOX_PID`.
    config
        TOML file with settings, such as `contacts = 500` in a table `[sandbox]`.
    """
    del config  # the parser has read it
    settings = {
        "seed": seed,
        "port": port,
        "token": token,
        "latency_ms": latency_ms,
        "rate_limit": rate_limit,
        "faults": fault or (),
        "changes": change or (),
        "gzip": gzip,
        "hostile": hostile,
        "years": years,
        "hot_day": hot_day,
        "live": live,
        "timezone": timezone,
    }
    searching = {
        "precision": search,
        "lag_s": search_lag,
        "cap": search_cap,
        "missing": search_missing,
        "unsettled": search_unsettled,
        "has_id_suffix": search_id_suffix,
    }
    return await _serve(contacts, from_, settings, searching, print_env=print_env)


async def _serve(
    contacts: int | None, path: str | None, settings: dict[str, Any], searching: dict[str, Any], *, print_env: bool
) -> int:
    """Serve a sandbox until a signal comes; return the exit code.

    Args:
        contacts: number of synthetic contacts, None for 10,000.
        path: the finished export that it serves instead.
        settings: further arguments of `Sandbox`.
        searching: arguments of `SearchSettings`.
        print_env: print lines for a shell, and release stdout, instead of the line of JSON.
    """
    if contacts is not None and path is not None:
        raise ConfigError("--contacts and --from are mutually exclusive: the contacts come from that export")
    if sys.stdout is None:
        raise ConfigError("stdout is closed: cannot print the address of the sandbox")
    import anyio
    import anyio.to_thread

    from exporter.cli.signals import run_until_signal
    from exporter.sandbox import Sandbox, SearchSettings

    settings["search"] = SearchSettings(**searching)

    async def job() -> int:
        replay = None if path is None else await anyio.to_thread.run_sync(_open_replay, path)
        async with Sandbox(_CONTACTS if contacts is None else contacts, replay=replay, **settings) as server:
            _print_address(server, print_env=print_env)
            await anyio.sleep_forever()
        raise AssertionError("it sleeps for ever")

    return await run_until_signal(job, lambda _name, _code: COMPLETE)


def _open_replay(path: str) -> Any:
    from exporter.archive.replay import Replay

    return Replay(path)


def _print_address(server: "Sandbox", *, print_env: bool) -> None:
    if not print_env:
        import orjson

        print(orjson.dumps({"base_url": server.base_url, "token": server.token}).decode(), flush=True)  # noqa: T201
        return
    variables = {"INTERCOM_ACCESS_TOKEN": server.token, "INTERCOM_EXPORTER_BASE_URL": server.base_url}
    lines = [f"export {name}={shlex.quote(value)}" for name, value in variables.items()]
    print("\n".join([*lines, f"SANDBOX_PID={os.getpid()}"]), flush=True)  # noqa: T201
    # $(...) waits for the end of stdout, and the sandbox keeps running.
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())
    os.close(null)
