"""The README's promises that can be run. Its two commands are run by the project's check of a whole change."""

import re
from pathlib import Path

import exporter
from exporter.cli import exit_codes
from tests.support.markdown import code_blocks

ROOT = Path(exporter.__file__).parent.parent
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    """Give the README's code blocks in a language."""
    return code_blocks(TEXT, language)


def test_readme_begins_with_two_commands() -> None:
    """The first screen has two commands, each with all its set-up, without a continuation."""
    (block,) = blocks("sh")
    demo, tests = block.splitlines()
    assert demo.endswith("demo --output contacts.ndjson.gz")
    assert tests.endswith("pytest")
    assert all(command.startswith("python3 -m venv .venv && .venv/bin/pip install ") for command in (demo, tests))
    assert TEXT.index(block) < 1_000


def test_documented_error_tree_matches_the_classes() -> None:
    """Every error class stands in the documentation's tree."""
    text = (ROOT / "docs" / "library.md").read_text(encoding="utf-8")
    errors = [name for name in exporter.__all__ if name.endswith("Error") or name == "RetriesExhausted"]
    assert all(re.search(rf"[─ ]*{name}\b", text) for name in errors)


def test_documented_exit_codes_match_the_program() -> None:
    """The table of the guide has every code of the command, and no other."""
    text = (ROOT / "docs" / "guide.md").read_text(encoding="utf-8")
    table = text[text.index("| Exit code") :].split("\n\n")[0]
    codes = {int(code) for row in table.splitlines()[2:] for code in row.split("|")[1].split(",")}
    raised = {code for _kind, code in exit_codes._CODES}
    others = {
        exit_codes.COMPLETE,
        exit_codes.INTERNAL_ERROR,
        exit_codes.READER_CLOSED,
        exit_codes.DIFFERENCES,
        exit_codes.TIME_LIMIT,
    }
    assert codes == raised | others | {129, 130, 143}


def test_readme_has_at_most_130_lines() -> None:
    """What goes further is in the documents that it names, and each of them is there."""
    assert len(TEXT.splitlines()) <= 130
    assert all((ROOT / name).is_file() for name in re.findall(r"\]\(([\w/.]+\.(?:md|svg))\)", TEXT))
