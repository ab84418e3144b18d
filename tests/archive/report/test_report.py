"""The command `report` writes one page that describes an export."""

import json
import os
import re
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.support.report_exports import write_export


def table_of(html: str, heading: str) -> dict[str, list[str]]:
    """Return the rows of the first table below a heading, by their first cell."""
    table = html[html.index(f"<h2>{heading}</h2>") :]
    rows = re.findall(r"<tr>(.*?)</tr>", table[: table.index("</section>")], re.DOTALL)
    cells = [re.findall(r"<td[^>]*>(.*?)</td>", row, re.DOTALL) for row in rows]
    return {one[0]: [re.sub(r"<[^>]*>", "", cell) for cell in one[1:]] for one in cells if one}


FORMATS = ["ndjson", "ndjson.gz", "ndjson.zst", "csv", "csv.gz", "parquet"]


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMATS)
def test_report_of_every_format_matches_the_contacts(command: Any, form: str) -> None:
    """Roles, months, fields and custom attributes are those of the contacts."""
    command.run("demo", "--contacts=1200", "-q", "-o", "truth.ndjson")
    command.run("demo", "--contacts=1200", "-q", "-o", f"a.{form}")
    done = command.run("report", f"a.{form}")
    assert (done.returncode, done.stdout) == (0, b"")
    assert f"a.{form}.report.html" in done.stderr.decode()
    html = (command.folder / f"a.{form}.report.html").read_text(encoding="utf-8")
    contacts = [json.loads(line) for line in (command.folder / "truth.ndjson").read_text().splitlines()]
    roles = table_of(html, "Contacts by role")
    assert {role: int(count[0].replace(",", "")) for role, count in roles.items()} == {
        role: sum(1 for contact in contacts if contact["role"] == role) for role in {one["role"] for one in contacts}
    }
    months = table_of(html, "Contacts by month of creation")
    assert sum(int(count[0].replace(",", "")) for count in months.values()) == 1_200
    emails = sum(1 for contact in contacts if contact["email"])
    assert table_of(html, "Fields")["email"][0] == f"{emails / 12:.1f} %"
    plans = sum(1 for contact in contacts if contact["custom_attributes"].get("plan"))
    assert table_of(html, "Custom attributes")["plan"][0] == f"{plans / 12:.1f} %"


@pytest.mark.slow
def test_report_of_csv_with_expanded_lists_counts_like_ndjson(command: Any) -> None:
    """The rows of the list fields are equal."""
    pages = []
    for name in ("a.ndjson", "a.csv"):
        command.run("demo", "--contacts=300", "-q", "-o", name, "--expand=all", "--tag-names")
        command.run("report", name, "-q")
        html = (command.folder / f"{name}.report.html").read_text(encoding="utf-8")
        pages.append({field: row for field, row in table_of(html, "Fields").items() if field in LISTS})
    assert pages[0] == pages[1]
    assert set(pages[0]) == set(LISTS)


LISTS = ("tags", "notes", "companies", "subscriptions", "segments")


def test_report_contains_no_contact_values_and_loads_nothing(command: Any) -> None:
    """The page has no name, address or id, and loads no script, font or picture."""
    command.run("demo", "--contacts=800", "-q", "-o", "a.ndjson")
    command.run("report", "a.ndjson", "-q")
    html = (command.folder / "a.ndjson.report.html").read_text(encoding="utf-8")
    for line in (command.folder / "a.ndjson").read_text().splitlines():
        contact = json.loads(line)
        for name in ("id", "email", "phone", "name", "external_id"):
            value = contact[name]
            assert not value or len(value) < 6 or value not in html, name
    assert not re.search(r"<script|<img|<link|@import|src=|url\((?!#)", html)
    urls = set(re.findall(r'https?://[^"\s<]+', html))
    assert urls <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    assert (command.folder / "a.ndjson.report.html").stat().st_mode & 0o777 == 0o600


def test_report_with_hostile_names_escapes_them(command: Any, tmp_path: Path) -> None:
    """Names of attributes, roles and countries cannot become markup of the page."""
    lines = [
        json.dumps(
            {
                "id": str(number),
                "role": "<script>alert(1)</script>",
                "location": {"country": "$\\frac{1}{2}$ <b>&\u202e\x00\ud800"},
                "custom_attributes": {"<img src=x onerror=alert(2)>": 1, "{{ 7 * 7 }}": "x", "$x_1$": None},
            }
        )
        for number in range(3)
    ]
    write_export(command.folder / "a.ndjson", lines)
    done = command.run("report", "a.ndjson")
    assert done.returncode == 0, done.stderr
    html = (command.folder / "a.ndjson.report.html").read_text(encoding="utf-8")
    assert "<script" not in html
    assert "<img" not in html
    assert "{{ 7 * 7 }}" in html
    assert "\u202e" not in html
    assert "\x00" not in html


def test_report_with_numbers_of_any_length_succeeds(command: Any) -> None:
    """`verify` accepts these numbers, too."""
    lines = [
        f'{{"id":"1","n":{"9" * 5_000},"x":1e400}}',
        '{"id":"2","n":-1}',
        '{"id":"3","n":-2}',
        '{"id":"4","n":true}',
    ]
    write_export(command.folder / "a.ndjson", lines)
    assert command.run("verify", "a.ndjson").returncode == 0
    assert command.run("report", "a.ndjson", "-q").returncode == 0
    html = (command.folder / "a.ndjson.report.html").read_text(encoding="utf-8")
    assert table_of(html, "Fields")["n"][-1] == "4"


def test_report_with_long_names_and_many_fields_prints_no_warning(command: Any) -> None:
    """No share exceeds 100 %, and an attribute with the name type does not hide the others."""
    countries = (
        "United Kingdom of Great Britain and Northern Ireland",
        "日本",
        "South Georgia and the South Sandwich Islands",
    )
    lines = [
        json.dumps(
            {
                "id": str(number),
                "location": {"country": countries[number % 3]},
                "custom_attributes": {"type": "list", "plan": 1, **{f"{number}-{at}": 1 for at in range(500)}},
            }
        )
        for number in range(6)
    ]
    write_export(command.folder / "a.ndjson", lines)
    done = command.run("report", "a.ndjson", "-q")
    assert (done.returncode, done.stderr) == (0, b"")
    html = (command.folder / "a.ndjson.report.html").read_text(encoding="utf-8")
    shares = [float(share) for share in re.findall(r"([\d.]+) %</td>", html)]
    assert max(shares) <= 100
    assert table_of(html, "Custom attributes")["plan"][0] == "100.0 %"


@pytest.mark.parametrize("name", ["größe.ndjson", "a b.ndjson", "a\nb.ndjson"])
def test_report_of_export_with_any_name_succeeds(command: Any, name: str) -> None:
    """The sandbox finds such an export, too."""
    command.run("demo", "--contacts=20", "-q", "-o", name)
    assert command.run("report", name, "-q").returncode == 0
    assert (command.folder / f"{name}.report.html").exists()
    served = command.start("sandbox", "--from", name)
    assert served.stdout is not None
    assert served.stdout.readline().startswith(b'{"base_url"')
    served.terminate()
    assert served.wait(30) == 0


def test_report_of_export_that_verify_refuses_fails(command: Any) -> None:
    """Cases: a part that is listed twice, an unlisted part, an incomplete export, a wrong count."""
    command.run("demo", "--contacts=600", "-q", "-o", "parts/", "--part-contacts=300", "--format=ndjson")
    manifest = command.folder / "parts" / "_manifest.json"
    truth = json.loads(manifest.read_text())
    for change in ({"files": [*truth["files"], truth["files"][0]]}, {"complete": False}, {"contacts": 7}):
        manifest.write_text(json.dumps(truth | change))
        assert command.run("report", "parts").returncode == 7, change
    manifest.write_text(json.dumps(truth))
    (command.folder / "parts" / "contacts-00009.ndjson").touch()
    assert command.run("report", "parts").returncode == 7


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_report_interrupted_by_signal_writes_nothing(command: Any, number: signal.Signals, code: int) -> None:
    """It leaves neither a page nor a temporary file, and prints one line."""
    command.run("demo", "--contacts=60000", "-q", "-o", "a.ndjson")
    before = sorted(command.folder.iterdir())
    run = command.start("report", "a.ndjson")
    while not any(link.endswith("a.ndjson") for link in open_files_of(run.pid)):
        assert run.poll() is None, "it ended before it was seen reading"
    run.send_signal(number)
    _out, stderr = run.communicate(timeout=60)
    assert (run.returncode, stderr.count(b"\n")) == (code, 1)
    assert b"nothing was written" in stderr
    assert sorted(command.folder.iterdir()) == before


def open_files_of(pid: int) -> list[str]:
    """Return the paths of a process's open files."""
    found = []
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(OSError):  # it may be closed by now
            found.append(str(link.readlink()))
    return found


@pytest.mark.slow
def test_report_on_full_disk_writes_nothing(command: Any) -> None:
    """A limit on file sizes simulates the full disk: one line, exit 5, no page, no temporary file."""
    command.run("demo", "--contacts=300", "-q", "-o", "a.ndjson")
    before = sorted(command.folder.iterdir())
    limited = (
        "import resource, sys; from exporter.cli.app import main\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))\n"
        "sys.exit(main(sys.argv[1:]))"
    )
    done = command.program(limited, "report", "a.ndjson")
    assert (done.returncode, done.stderr.count(b"\n")) == (5, 1)
    assert sorted(command.folder.iterdir()) == before


def test_report_keeps_foreign_file_with_temporary_name(command: Any) -> None:
    """The report neither uses nor removes another program's file."""
    command.run("demo", "--contacts=20", "-q", "-o", "a.ndjson")
    (command.folder / "q.html.tmp").write_text("mine")
    assert command.run("report", "a.ndjson", "--html", "q.html").returncode == 0
    assert (command.folder / "q.html.tmp").read_text() == "mine"
    assert not list(command.folder.glob(".*"))


@pytest.mark.parametrize("contacts", [0, 1])
def test_report_of_at_most_one_contact_succeeds(command: Any, contacts: int) -> None:
    """The page still has its table of fields."""
    command.run("demo", f"--contacts={contacts}", "-q", "-o", "a.ndjson")
    assert command.run("report", "a.ndjson").returncode == 0
    assert "<h2>Fields</h2>" in (command.folder / "a.ndjson.report.html").read_text(encoding="utf-8")


def test_report_counts_duplicate_contacts(command: Any) -> None:
    """A duplicate has the id of an earlier contact."""
    write_export(command.folder / "a.ndjson", ['{"id":"1"}', '{"id":"2"}', '{"id":"1"}'])
    command.run("report", "a.ndjson")
    html = (command.folder / "a.ndjson.report.html").read_text(encoding="utf-8")
    assert re.search(r"<dt>duplicates</dt><dd><span class=\"bad\">1</span>", html)


def test_report_of_folder_is_written_beside_it(command: Any) -> None:
    """The next export would refuse a foreign file in its folder."""
    command.run("demo", "--contacts=900", "-q", "-o", "parts/", "--part-contacts=300")
    assert command.run("report", "parts/").returncode == 0
    assert (command.folder / "parts.report.html").exists()
    assert command.run("report", "parts/", "--html", "parts/x.html").returncode == 2
    assert command.run("verify", "parts/").returncode == 0


@pytest.mark.slow
def test_report_replaces_only_an_earlier_report(command: Any) -> None:
    """A foreign file of that name is refused without --replace, above all an export."""
    command.run("demo", "--contacts=50", "-q", "-o", "a.ndjson")
    before = (command.folder / "a.ndjson").read_bytes()
    (command.folder / "notes.html").write_text("mine")
    (command.folder / "link.html").symlink_to("a.ndjson")
    for name in ("notes.html", "a.ndjson", "link.html"):
        done = command.run("report", "a.ndjson", "--html", name)
        assert (done.returncode, done.stderr.count(b"\n")) == (2, 1)
    assert (command.folder / "a.ndjson").read_bytes() == before
    assert [command.run("report", "a.ndjson").returncode for _ in range(2)] == [0, 0]
    assert command.run("report", "a.ndjson", "--html=notes.html", "--replace", "-q").returncode == 0
    assert b"intercom-exporter" in command.run("report", "a.ndjson", "--html", "-", "-q").stdout


def test_report_of_damaged_export_writes_no_page(command: Any) -> None:
    """It exits with code 7 and prints one line."""
    command.run("demo", "--contacts=300", "-q", "-o", "a.ndjson.gz")
    content = bytearray((command.folder / "a.ndjson.gz").read_bytes())
    content[len(content) // 2] ^= 1
    (command.folder / "a.ndjson.gz").write_bytes(content)
    done = command.run("report", "a.ndjson.gz")
    assert (done.returncode, done.stderr.count(b"\n")) == (7, 1)
    assert not (command.folder / "a.ndjson.gz.report.html").exists()


def test_report_of_truncated_or_missing_file_fails(command: Any) -> None:
    """This is the most common damage."""
    command.run("demo", "--contacts=300", "-q", "-o", "a.ndjson")
    with (command.folder / "a.ndjson").open("r+b") as file:
        file.truncate(1_000)
    assert command.run("report", "a.ndjson").returncode == 7
    (command.folder / "a.ndjson").unlink()
    done = command.run("report", "a.ndjson")
    assert (done.returncode, done.stderr.count(b"\n")) == (7, 1)


@pytest.mark.slow
def test_report_of_folder_accepts_any_path_to_it(command: Any) -> None:
    """Cases: the current folder, the manifest, the parent; no path allows a page inside the folder."""
    command.run("demo", "--contacts=300", "-q", "-o", "parts/")
    for path in (".", "_manifest.json", "../parts/"):
        done = subprocess.run(
            command.line("report", path),
            cwd=command.folder / "parts",
            env=command.environment(),
            capture_output=True,
            timeout=60,
            check=False,
        )
        assert (done.returncode, done.stdout) == (0, b""), done.stderr
        assert (command.folder / "parts.report.html").exists()
        (command.folder / "parts.report.html").unlink()
    inside = str(command.folder / "parts" / "x.html")
    assert command.run("report", "parts", "--html", inside).returncode == 2
    command.run("demo", "--contacts=30", "-q", "-o", "other.ndjson")
    assert command.run("report", "other.ndjson", "--html", "parts/x.html").returncode == 2
    (command.folder / "road").symlink_to("parts")
    assert command.run("report", "parts", "--html", "road/x.html").returncode == 2
    assert command.run("verify", "parts").returncode == 0


def test_report_with_replace_keeps_the_export(command: Any) -> None:
    """It replaces neither the contacts nor the manifest."""
    command.run("demo", "--contacts=30", "-q", "-o", "a.ndjson")
    for name in ("a.ndjson", "a.ndjson.manifest.json"):
        assert command.run("report", "a.ndjson", "--html", name, "--replace").returncode == 2
    assert command.run("verify", "a.ndjson").returncode == 0


def test_report_to_pipe_or_link_is_refused(command: Any) -> None:
    """It neither waits for a pipe nor replaces a link, with or without --replace."""
    command.run("demo", "--contacts=30", "-q", "-o", "a.ndjson")
    os.mkfifo(command.folder / "x.html")
    (command.folder / "l.html").symlink_to("elsewhere")
    for name in ("x.html", "l.html"):
        for more in ((), ("--replace",)):
            assert command.run("report", "a.ndjson", "--html", name, *more).returncode == 2


def test_report_to_stdout_is_utf8_in_any_locale(command: Any) -> None:
    """The page declares UTF-8."""
    command.run("demo", "--contacts=3000", "-q", "-o", "a.ndjson")
    done = command.run("report", "a.ndjson", "--html", "-", PYTHONIOENCODING="ascii", LC_ALL="C", PYTHONUTF8="0")
    assert done.returncode == 0
    assert "Türkiye" in done.stdout.decode()


def test_manifest_of_resumed_export_has_plausible_running_time(command: Any) -> None:
    """The time is the sum of the runs, not a complete slice for each run."""
    for _ in range(3):
        command.run("demo", "--contacts=3000", "-q", "-o", "a.ndjson", "--max-duration=0.4", "--checkpoint-every=0")
    command.run("demo", "--contacts=3000", "-q", "-o", "a.ndjson")
    timeline = json.loads((command.folder / "a.ndjson.manifest.json").read_text())["timeline"]
    assert 0 < timeline["ran_s"] < 30


@pytest.mark.parametrize("arguments", [["missing.ndjson"], [""], ["a.ndjson", "--html", "no/such/folder.html"]])
def test_report_with_invalid_path_prints_one_line(command: Any, arguments: list[str]) -> None:
    """It exits with code 2."""
    command.run("demo", "--contacts=5", "-q", "-o", "a.ndjson")
    done = command.run("report", *arguments)
    assert (done.returncode, done.stdout, done.stderr.count(b"\n")) == (2, b"", 1)


@pytest.mark.slow
def test_report_memory_does_not_depend_on_export_size(command: Any) -> None:
    """Six times the contacts take the same memory."""
    peaks = []
    for contacts in (5_000, 30_000):
        command.run("demo", f"--contacts={contacts}", "-q", "-o", f"{contacts}.ndjson.gz")
        peaks.append(peak_kb(command, "report", f"{contacts}.ndjson.gz", "-q"))
    assert peaks[1] - peaks[0] < 6_000


def peak_kb(command: Any, *arguments: str) -> int:
    """Return the peak memory of a command, measured by a small parent process."""
    program = (
        "import resource, subprocess, sys\n"
        "subprocess.run(sys.argv[1:], check=True)\n"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *command.line(*arguments)],
        cwd=command.folder,
        env=command.environment(),
        capture_output=True,
        check=True,
        timeout=100,
    )
    return int(done.stdout)
