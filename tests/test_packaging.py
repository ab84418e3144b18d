"""What is installed is all that a run needs, and the tests' extra has nothing that only benchmarks need."""

import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

import exporter

ROOT = Path(exporter.__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
OTHER_TOOLS = {"airbyte-cdk", "dlt", "requests", "singer-sdk"}


def names_of(requirements: list[str]) -> set[str]:
    """Return the names of the packages that requirements ask for, those of our own extras included."""
    names: set[str] = set()
    for requirement in requirements:
        name, extras = re.findall(r"^([\w.-]+)(?:\[([\w,]+)\])?", requirement)[0]
        names |= names_of([one for extra in extras.split(",") for one in EXTRAS[extra]]) if extras else {name}
    return names


def test_tests_extra_has_no_tool_of_the_comparison() -> None:
    """Who runs the tests does not install a gigabyte of other exporters."""
    assert names_of(EXTRAS["benchmarks"]) > OTHER_TOOLS
    assert not names_of(EXTRAS["test"]) & OTHER_TOOLS


def test_readme_lists_every_extra_for_users() -> None:
    """Each extra has a line in the README's table, and no line names another one."""
    table = (ROOT / "README.md").read_text(encoding="utf-8").split("| Extra |")[1].split("\n\n")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == EXTRAS.keys() - {"test", "benchmarks"}


@pytest.mark.slow
def test_wheel_runs_without_the_checkout(tmp_path: Path) -> None:
    """The package of a wheel has its schema, its page and its types, and exports the demonstration."""
    pytest.importorskip("hatchling")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    files = {str(path.relative_to(ROOT)) for path in (ROOT / "exporter").rglob("*") if path.is_file()}
    installed = {str(path.relative_to(tmp_path / "site")) for path in (tmp_path / "site").rglob("*") if path.is_file()}
    assert {name for name in files if not name.endswith(".pyc")} <= installed
    assert not [name for name in installed if not name.startswith(("exporter/", "intercom_exporter-"))]
    code = "import exporter, sys; from exporter.__main__ import main; print(exporter.__file__, file=sys.stderr); main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "demo", "--contacts=10", "-q", "-o", "contacts.ndjson"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(tmp_path / "site")},
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stderr.startswith(str(tmp_path / "site"))
    assert (tmp_path / "contacts.ndjson").read_bytes().count(b"\n") == 10
