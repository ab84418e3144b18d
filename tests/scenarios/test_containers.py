"""In a container as they are made today: nothing can be written but a volume, and nobody is at home.

A mount namespace stands for it: everything read-only, no temporary folder, an
environment without HOME, and a user that no file knows. Where the system allows
no such namespace these tests are skipped.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import exporter

VOLUME = "/mnt"
PREPARE = """
set -e
mount --make-rprivate /
mount --bind "$VOLUME" /mnt
echo "passwd: files" > "$ETC/nsswitch.conf"; : > "$ETC/passwd"
for name in passwd nsswitch.conf; do test ! -e /etc/$name || mount --bind "$ETC/$name" /etc/$name; done
while read -r _ _ _ _ where _; do
  case $where in /proc*|/sys*|/dev|/mnt) ;; *) mount -o remount,bind,ro "$where" 2>&- || true;; esac
done < /proc/self/mountinfo
test -z "$HIDDEN" || mount -t tmpfs -o ro,size=4k none "$HIDDEN"
cd /
for folder in / /tmp /var/tmp /dev/shm; do ! touch "$folder/probe" 2>&- || { rm "$folder/probe"; exit 99; }; done
touch /mnt/probe && rm /mnt/probe
exec env -i PATH="$PATH" PYTHONPATH="$PYTHONPATH" "$@"
"""
Contained = Callable[..., subprocess.CompletedProcess[bytes]]


def namespace() -> list[str]:
    """Return what starts a program in a mount namespace of its own."""
    return ["unshare", "-m"] if os.geteuid() == 0 else ["unshare", "-Urm"]


def hidden_folder() -> str:
    """Return the temporary folder, which is to be hidden, unless the tests themselves are installed in it."""
    needed = (sys.prefix, sys.base_prefix, exporter.__file__, Path(sys.executable).resolve())
    return "" if any(str(path).startswith("/tmp") for path in needed) else "/tmp"


@pytest.fixture(scope="session")
def contained() -> Contained:
    """Run a program in a container, with a volume at /mnt."""
    with tempfile.TemporaryDirectory() as folder:
        if shutil.which("unshare") is None or not Path("/mnt").is_dir():
            pytest.skip("this system has no mount namespaces")
        trial = contain(Path(folder), "true")
    if trial.returncode:
        pytest.skip(f"no mount namespace can be made read-only here: {trial.stderr.decode()[-200:]}")
    return contain


def contain(volume: Path, *line: str) -> subprocess.CompletedProcess[bytes]:
    """Run a command line with a folder as the only place to write to."""
    with tempfile.TemporaryDirectory() as etc:
        return subprocess.run(
            [*namespace(), "bash", "-c", PREPARE, "container", *line],
            env={**os.environ, "VOLUME": str(volume), "ETC": etc, "HIDDEN": hidden_folder(), "PYTHONPATH": ""},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=110,
            check=False,
        )


@pytest.fixture
def run(contained: Contained, tmp_path: Path) -> Contained:
    """Run our command in a container."""
    return lambda *arguments: contained(tmp_path, sys.executable, "-m", "exporter", *arguments)


def test_container_has_neither_home_nor_user_nor_temporary_folder(contained: Contained, tmp_path: Path) -> None:
    """The container is as bare as it is meant to be."""
    program = """
import os, pwd, tempfile
for what in (tempfile.gettempdir, lambda: pwd.getpwuid(os.getuid())):
    try:
        print("found", what())
    except (OSError, KeyError):
        pass
print(os.environ.get("HOME"), os.getcwd())
"""
    done = contained(tmp_path, sys.executable, "-c", program)
    assert (done.returncode, done.stdout) == (0, b"None /\n"), done.stderr


QUIET = [
    ["--help"],
    ["config", "show", "contacts"],
    ["completion", "bash"],
    ["schema"],
    ["demo", "--contacts=300", "-q"],
    ["demo", "--contacts=300", "-q", "-o", "/mnt/b.ndjson.zst"],
    ["demo", "--contacts=300", "-q", "-o", "/mnt/b.csv.gz"],
    ["demo", "--contacts=300", "-q", "-o", "/mnt/b.parquet"],
    ["demo", "--contacts=300", "-q", "-o", "/mnt/parts/", "--part-contacts=150", "--metrics-file=/mnt/a.prom"],
]


@pytest.mark.parametrize("arguments", QUIET, ids=" ".join)
def test_command_in_a_container_works_silently(run: Contained, arguments: list[str]) -> None:
    """It ends with 0 and says nothing on stderr."""
    done = run(*arguments)
    assert (done.returncode, done.stderr) == (0, b"")


def test_export_in_a_container_is_verified_and_reported(run: Contained, tmp_path: Path) -> None:
    """Beside the export, or on stdout; -q is silent, and matplotlib leaves nothing behind."""
    assert run("demo", "--contacts=300", "-q", "-o", "/mnt/a.ndjson.gz").returncode == 0
    for arguments in (["verify", "/mnt/a.ndjson.gz", "-q"], ["report", "/mnt/a.ndjson.gz", "-q"]):
        done = run(*arguments)
        assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    done = run("report", "/mnt/a.ndjson.gz", "--html=-")
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout == (tmp_path / "a.ndjson.gz.report.html").read_bytes()
    files = {"a.ndjson.gz", "a.ndjson.gz.manifest.json", "a.ndjson.gz.report.html"}
    assert {path.name for path in tmp_path.iterdir()} == files


REFUSED = {
    "a file": (["demo", "--contacts=30", "-q", "-o", "a.ndjson"], b"'a.ndjson'"),
    "a folder": (["demo", "--contacts=30", "-q", "-o", "/var/parts/"], b"'/var/parts'"),
    "metrics": (["demo", "--contacts=30", "-q", "--metrics-file=/var/a.prom"], b"'/var/a.prom'"),
    "a report": (["report", "/mnt/a.ndjson", "-q", "--html=/var/a.html"], b"Read-only file system"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_output_outside_the_volume_is_one_true_line(run: Contained, what: str) -> None:
    """It says what cannot be written."""
    arguments, sentence = REFUSED[what]
    if what == "a report":
        run("demo", "--contacts=30", "-q", "-o", "/mnt/a.ndjson")
    done = run(*arguments)
    assert (done.returncode in (2, 5), done.stdout, done.stderr.count(b"\n")) == (True, b"", 1)
    assert sentence in done.stderr


SERVICE = """
import json, subprocess, sys, urllib.request
program = [sys.executable, "-m", "exporter"]
with subprocess.Popen([*program, "sandbox", "--from", "/mnt/a.ndjson"], stdout=subprocess.PIPE) as server:
    address = json.loads(server.stdout.readline())
    environment = {"INTERCOM_ACCESS_TOKEN": address["token"], "INTERCOM_EXPORTER_BASE_URL": address["base_url"]}
    for command in (["check", "--json"], ["contacts", "-q", "-o", "/mnt/b.ndjson"], ["contacts", "-q"]):
        subprocess.run([*program, *command], env=environment, check=True)
    contact = json.loads(open("/mnt/b.ndjson").readline())
    headers = {"Authorization": "Bearer " + address["token"]}
    url = f"{address['base_url']}/contacts/{contact['id']}/tags"
    assert urllib.request.urlopen(urllib.request.Request(url, headers=headers)).status == 200
    server.terminate()
    assert server.wait(60) == 0
"""


def test_sandbox_check_and_contacts_in_a_container(contained: Contained, run: Contained, tmp_path: Path) -> None:
    """A finished export is served, looked up by id, checked and exported again, without a word on stderr."""
    assert run("demo", "--contacts=300", "-q", "-o", "/mnt/a.ndjson").returncode == 0
    done = contained(tmp_path, sys.executable, "-c", SERVICE)
    assert (done.returncode, done.stderr) == (0, b"")
    truth = (tmp_path / "a.ndjson").read_bytes()
    assert (tmp_path / "b.ndjson").read_bytes() == truth
    assert done.stdout.endswith(truth)
    assert json.loads(done.stdout.removesuffix(truth))["contacts"] == 300


VERIFY = """
import sys
from exporter.archive import duplicates
duplicates.DuplicateCounter.__init__.__kwdefaults__["buffered_ids"] = 100
from exporter.cli.app import main
sys.exit(main(sys.argv[1:]))
"""


def test_ids_that_need_a_file_are_kept_beside_the_export(contained: Contained, run: Contained, tmp_path: Path) -> None:
    """A system without a temporary folder is no reason to fail, as long as the export's own can be written."""
    assert run("demo", "--contacts=300", "-q", "-o", "/mnt/a.ndjson").returncode == 0
    for command in ("verify", "report"):
        done = contained(tmp_path, sys.executable, "-c", VERIFY, command, "/mnt/a.ndjson", "-q")
        assert (done.returncode, done.stderr) == (0, b"")
    assert not list(tmp_path.glob(".*"))


def test_ids_that_can_be_kept_nowhere_are_one_line(contained: Contained, tmp_path: Path, command: Any) -> None:
    """It names TMPDIR."""
    (tmp_path / "inner").mkdir()
    assert command.run("demo", "--contacts=300", "-q", "-o", "a.ndjson").returncode == 0
    read_only = 'mount --bind /mnt /mnt && mount -o remount,bind,ro /mnt && exec "$@"'
    line = [sys.executable, "-c", VERIFY, "verify", "/mnt/a.ndjson", "-q"]
    done = contained(tmp_path, "bash", "-c", read_only, "read-only", *line)
    assert (done.returncode, done.stdout, done.stderr.count(b"\n")) == (5, b"", 1)
    assert b"set TMPDIR to another folder" in done.stderr


@pytest.mark.parametrize(
    "arguments", [["report", "a.ndjson"], ["sandbox", "--from", "a.ndjson"], ["verify", "a.ndjson"]]
)
def test_path_in_a_deleted_folder_is_one_true_line(tmp_path: Path, arguments: list[str]) -> None:
    """The current folder may be gone: nothing is said of stdout, to which nothing was written."""
    script = 'mkdir gone && cd gone && rmdir ../gone && exec "$@"'
    line = [sys.executable, "-m", "exporter", *arguments]
    done = subprocess.run(["bash", "-c", script, "x", *line], cwd=tmp_path, capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr.count(b"\n")) == (2, b"", 1)
    assert b"'a.ndjson'" in done.stderr


SETTINGS = """
text.usetex: True
font.size: 80
axes.facecolor: red
nonsense: 5
"""


def test_report_does_not_depend_on_settings_of_matplotlib(command: Any) -> None:
    """Neither on those of the current folder nor on those of the user, whose folders stay as they are."""
    home = command.folder / "home"
    (home / ".config" / "matplotlib").mkdir(parents=True)
    command.run("demo", "--contacts=300", "-q", "-o", "a.ndjson")
    plain = command.run("report", "a.ndjson", "--html=-", HOME=str(home))
    for place in (command.folder, home / ".config" / "matplotlib"):
        (place / "matplotlibrc").write_text(SETTINGS)
    changed = command.run("report", "a.ndjson", "--html=-", HOME=str(home))
    assert (changed.returncode, changed.stderr) == (0, b"")
    assert changed.stdout == plain.stdout
    assert len(list((home / ".config" / "matplotlib").iterdir())) == 1


@pytest.mark.parametrize("home", [None, "/dev/null/home", ""])
def test_report_without_a_home_says_nothing_and_leaves_nothing(command: Any, home: str | None) -> None:
    """The temporary folder stays empty."""
    (command.folder / "tmp").mkdir()
    command.run("demo", "--contacts=30", "-q", "-o", "a.ndjson")
    environment = {name: value for name, value in command.environment().items() if not name.startswith(("HOME", "XDG"))}
    environment |= {"TMPDIR": str(command.folder / "tmp")} | ({} if home is None else {"HOME": home})
    line = command.line("report", "a.ndjson", "-q")
    done = subprocess.run(line, cwd=command.folder, env=environment, capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert not list((command.folder / "tmp").iterdir())
