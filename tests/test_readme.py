"""The README's promises that can be run. Its two commands are run by the project's check of a whole change."""

import re
import subprocess
import sys
from pathlib import Path

import exporter
from exporter.cli import exits

TEXT = (Path(exporter.__file__).parent.parent / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    """Give the README's code blocks in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)


def test_there_are_exactly_two_commands_to_begin_with() -> None:
    """The first screen has two commands, each with all its set-up, without a continuation."""
    (block,) = blocks("sh")
    demo, tests = block.splitlines()
    assert demo.endswith("demo --output contacts.ndjson.gz")
    assert tests.endswith("pytest")
    assert all(command.startswith("python3 -m venv .venv && .venv/bin/pip install ") for command in (demo, tests))
    assert TEXT.index(block) < 1_000


async def test_the_library_example_runs(sandbox: exporter.Sandbox, tmp_path: Path) -> None:
    """The first example works as written, once it is pointed at a sandbox."""
    code = blocks("python")[0].replace('region="eu"', f'base_url="{sandbox.base_url}"')
    done = await _run(code, tmp_path, INTERCOM_ACCESS_TOKEN=sandbox.token)
    assert (done.returncode, done.stderr) == (0, b"")
    assert (tmp_path / "contacts.ndjson.gz.manifest.json").exists()


async def test_the_example_for_tests_runs(tmp_path: Path) -> None:
    """The example for users' own tests works as written."""
    code = next(block for block in blocks("python") if "exporter.Sandbox(" in block)
    done = await _run(code, tmp_path)
    assert (done.returncode, done.stderr) == (0, b"")


def test_the_error_tree_is_the_real_one() -> None:
    """Every error class stands in the README's tree."""
    errors = [name for name in exporter.__all__ if name.endswith("Error") or name == "RetriesExhausted"]
    assert all(re.search(rf"[─ ]*{name}\b", TEXT) for name in errors)


def test_the_exit_codes_are_the_real_ones() -> None:
    """The table has every code of the command, and no other."""
    table = TEXT[TEXT.index("| Exit code") :].split("\n\n")[0]
    codes = {int(code) for row in table.splitlines()[2:] for code in row.split("|")[1].split(",")}
    raised = {code for _kind, code in exits._CODES}
    others = {exits.COMPLETE, exits.BUG, exits.READER_GONE, exits.DIFFERENCES, exits.OUT_OF_TIME}
    assert codes == raised | others | {130, 143}


async def _run(code: str, folder: Path, **variables: str) -> subprocess.CompletedProcess[bytes]:
    """Run a program without blocking the loop that serves it."""
    import os  # noqa: PLC0415

    import anyio  # noqa: PLC0415

    return await anyio.run_process(
        [sys.executable, "-W", "error", "-c", code], cwd=folder, env={**os.environ, **variables}, check=False
    )
