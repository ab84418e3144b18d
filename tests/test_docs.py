"""Every command and every code block of the documentation is run as it stands there."""

import importlib.util
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

import exporter
from tests.support.markdown import code_blocks
from tests.support.warm_interpreter import WarmInterpreter

ROOT = Path(exporter.__file__).parent.parent
NAMES = ("README.md", "docs/guide.md", "docs/library.md", "docs/recipes.md")
PAGES = {name: (ROOT / name).read_text(encoding="utf-8") for name in NAMES}
Serve = Callable[..., AbstractContextManager[Any]]
Shell = Callable[[str], subprocess.CompletedProcess[bytes]]


def blocks(page: str, language: str) -> list[str]:
    """Give a page's code blocks in a language."""
    return code_blocks(PAGES[page], language)


def _options() -> Any:
    """Load the script that makes the page of options."""
    spec = importlib.util.spec_from_file_location("options", ROOT / "docs" / "make.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


OPTIONS = _options()
EXAMPLES = sorted({example for command in OPTIONS.EXAMPLES.values() for example in command.values()})
SHARES = 8
SHELL = [(page, number) for page in PAGES for number in range(len(blocks(page, "bash")))]
PYTHON = [(page, number) for page in PAGES for number in range(len(blocks(page, "python")))]

_INSTALLER = """
if [ "$1" = wheel ]; then mkdir dist; touch dist/intercom_exporter-0.1.0-py3-none-any.whl; exit; fi
for last; do :; done
case "$last" in
    . | ".["*) ;;
    *) test -f "${{last##* @ file://}}" ;;
esac
"""
"""Installs nothing, but takes only this checkout or a wheel that is there."""

PROGRAMS = {
    "intercom-exporter": """
if [ "$1" != sandbox ]; then exec {exporter} "$@"; fi
if [ "$2" = --print-env ]; then exec {python} -m exporter "$@"; fi
coproc {python} -m exporter "$@"
pid=$COPROC_PID
read -r address <&"${{COPROC[0]}}" && kill -TERM $pid && wait $pid && echo "$address"
""",
    "aws": "cat > uploaded\n",
    "psql": "test -s contacts.csv\n",
    "jq": "exec {python} -c 'import json, sys; [print(json.loads(line)[\"email\"]) for line in sys.stdin]'\n",
    "pass": 'test "$1 $2" = "show intercom" && echo "$INTERCOM_TOKEN_OF_TEST"\n',
    "keyring": 'exec {python} -m keyring "$@"\n',
    "pipx": _INSTALLER,
    "uv": _INSTALLER,
    "pip": _INSTALLER,
}
"""What stands in the examples, besides the shell's own: ours, and others' as far as the examples need them."""


@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WarmInterpreter]:
    """Return an interpreter that the examples' commands are forked from."""
    started = WarmInterpreter(tmp_path_factory.mktemp("warm") / "s")
    assert started.suits(os.environ)
    yield started
    started.close()


@pytest.fixture
def shell(
    serve: Serve, warm: WarmInterpreter, tmp_path: Path
) -> Iterator[Callable[[str], subprocess.CompletedProcess[bytes]]]:
    """Run lines of a shell where a reader of the documentation would, with a workspace of a few hundred contacts."""
    programs, folder = tmp_path / "bin", tmp_path / "here"
    programs.mkdir()
    folder.mkdir()
    for name, program in PROGRAMS.items():
        text = program.format(python=sys.executable, exporter=warm.command_line())
        (programs / name).write_text(f"#!/usr/bin/env bash\n{text}", encoding="utf-8")
        (programs / name).chmod(0o755)
    (folder / "secret.key").write_bytes(b"0123456789abcdef0123456789abcdef")
    settings = blocks("docs/guide.md", "toml")[0].replace('region = "eu"', "")  # it would name an address, and ours is
    (folder / "settings.toml").write_text(settings, encoding="utf-8")
    with serve("--contacts=300", "--token=dG9rOm1pbmU=") as served:
        (folder / "token.txt").write_text(served.token)
        for name in ("secret.key", "token.txt"):
            (folder / name).chmod(0o600)
        environment = {
            **os.environ,
            "PATH": f"{programs}:{os.environ['PATH']}",
            "INTERCOM_ACCESS_TOKEN": served.token,
            "INTERCOM_TOKEN_OF_TEST": served.token,
            "INTERCOM_EXPORTER_BASE_URL": served.base_url,
            "PYTHON_KEYRING_BACKEND": "keyrings.alt.file.PlaintextKeyring",
            "XDG_DATA_HOME": str(tmp_path / "data"),
        }

        def run(lines: str) -> subprocess.CompletedProcess[bytes]:
            lines = lines.replace("INTERCOM_ACCESS_TOKEN=…", f"INTERCOM_ACCESS_TOKEN={served.token}")
            for address in ("https://api.eu.intercom.io", "http://127.0.0.1:8080"):
                lines = lines.replace(address, served.base_url)
            return subprocess.run(
                ["bash", "-eu", "-c", lines],
                input=f"{served.token}\n".encode(),
                cwd=folder,
                env=environment,
                capture_output=True,
                timeout=100,
                check=False,
            )

        setup = run("intercom-exporter demo --contacts 200 -o finished.ndjson.gz -q")
        assert setup.returncode == 0, setup.stderr
        yield run


@pytest.mark.slow
@pytest.mark.parametrize(("page", "number"), SHELL, ids=str)
def test_documented_commands_run(shell: Callable[[str], Any], page: str, number: int) -> None:
    """From its first line to its last, each with exit code 0."""
    done = shell(blocks(page, "bash")[number])
    assert done.returncode == 0, done.stderr.decode()


@pytest.mark.parametrize("page", PAGES)
def test_commands_stand_in_blocks_that_are_run(page: str) -> None:
    """No block of another kind has commands that nobody runs."""
    kinds = set(re.findall(r"^```(\w*)\n", PAGES[page], re.MULTILINE))
    assert kinds <= {"sh", "bash", "python", "text", "toml", "yaml", ""}
    assert not [block for block in blocks(page, "text") if "intercom-exporter " in block]


@pytest.mark.slow
def test_options_page_matches_the_commands() -> None:
    """Made anew it is the same: every option has its meaning and an example there."""
    assert (ROOT / "docs" / "options.md").read_text(encoding="utf-8") == OPTIONS.page(), "run: python docs/make.py"


def test_options_page_has_every_command() -> None:
    """Those that are there, too."""
    assert {name.split()[0] for name in OPTIONS.COMMANDS} == {name for name in OPTIONS.app if not name.startswith("-")}


@pytest.mark.slow
@pytest.mark.parametrize("share", range(SHARES))
def test_examples_of_options_run(shell: Callable[[str], Any], share: int) -> None:
    """Each ends with 0; those that name a region are only looked at, since its address is not ours."""
    lines = []
    for number, example in enumerate(EXAMPLES[share::SHARES]):
        there = re.sub(r"exporter contacts (.*--region)", r"exporter config show contacts \1", example)
        lines.append(f"mkdir {number}; cp finished* settings.toml secret.key token.txt {number}; cd {number}\n")
        kept = "unset INTERCOM_ACCESS_TOKEN; " if "--token-" in there else ""
        lines.append(f"({kept}{there}) > out 2> err || {{ echo failed: {shlex.quote(example)}; cat err; }}\ncd ..\n")
    done = shell("keyring set intercom-exporter acme\n" + "".join(lines))
    assert (done.returncode, done.stdout.decode()) == (0, "")


@pytest.mark.slow
@pytest.mark.parametrize(("page", "number"), PYTHON, ids=str)
def test_documented_programs_run(serve: Serve, tmp_path: Path, page: str, number: int) -> None:
    """As it stands there, without a warning; the one that names a region is pointed at a sandbox."""
    with serve("--contacts=300") as served:
        code = blocks(page, "python")[number].replace('region="eu"', f'base_url="{served.base_url}"')
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", code],
            cwd=tmp_path,
            env={**os.environ, "INTERCOM_ACCESS_TOKEN": served.token},
            capture_output=True,
            timeout=60,
            check=False,
        )
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.slow
def test_links_lead_somewhere() -> None:
    """To files that are there, and to headings that a page has."""
    for page, text in {**PAGES, "docs/options.md": OPTIONS.page()}.items():
        titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
        headings = {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}
        for link in re.findall(r"\]\(([^)]+)\)", text):
            if link.startswith("#"):
                assert link[1:] in headings, (page, link)
            elif not link.startswith("http"):
                assert ((ROOT / page).parent / link).exists(), (page, link)
