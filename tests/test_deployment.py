"""What the page about production shows is valid: image, cluster, timer and task."""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import exporter
from tests.support.markdown import code_blocks

ROOT = Path(exporter.__file__).parent.parent
TEXT = (ROOT / "docs" / "deployment.md").read_text(encoding="utf-8")
FINAL = {1, 2, 3, 6}
"""Exit codes after which the same command cannot succeed."""


def test_dockerfile_copies_all_that_the_installation_needs(tmp_path: Path) -> None:
    """A wheel can be built of the files that it copies, and nothing else."""
    pytest.importorskip("hatchling")
    (dockerfile,) = code_blocks(TEXT, "dockerfile")
    for line in re.findall(r"^COPY (.+)$", dockerfile, re.MULTILINE):
        *names, _target = line.split()
        for name in names:
            copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
            copy(ROOT / name, tmp_path / name)
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", "dist"]
    subprocess.run(build, cwd=tmp_path, check=True, capture_output=True)
    assert len(list((tmp_path / "dist").glob("intercom_exporter-*.whl"))) == 1


def test_cron_job_mounts_its_secret_and_ends_where_a_retry_cannot_help() -> None:
    """The YAML is valid; names agree; the token's file is its owner's alone; every final exit code ends the job."""
    yaml: Any = pytest.importorskip("yaml")
    secret, job = yaml.safe_load_all(code_blocks(TEXT, "yaml")[0])
    spec = job["spec"]["jobTemplate"]["spec"]
    (rule,) = spec["podFailurePolicy"]["rules"]
    assert (rule["action"], set(rule["onExitCodes"]["values"])) == ("FailJob", FINAL)
    pod = spec["template"]["spec"]
    assert pod["restartPolicy"] == "Never"  # what a podFailurePolicy asks for
    (container,) = pod["containers"]
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    assert {mount["name"] for mount in container["volumeMounts"]} == volumes.keys()
    assert volumes["token"]["secret"] == {"secretName": secret["metadata"]["name"], "defaultMode": 0o400}
    assert f"/etc/intercom/{next(iter(secret['stringData']))}" in container["args"]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd here")
def test_units_are_accepted_by_systemd(tmp_path: Path) -> None:
    """The service and its timer have no unknown or malformed setting."""
    paths = []
    for name, text in zip(("service", "timer"), code_blocks(TEXT, "ini"), strict=True):
        paths.append(tmp_path / f"intercom-exporter.{name}")
        paths[-1].write_text(text.replace("/opt/intercom-exporter/bin/intercom-exporter", shutil.which("true") or ""))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *map(str, paths)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, [line for line in done.stderr.splitlines() if str(tmp_path) in line]) == (0, [])


def test_service_is_not_restarted_where_a_retry_cannot_help() -> None:
    """The same codes as everywhere on the page."""
    (codes,) = re.findall(r"^RestartPreventExitStatus=(.+)$", code_blocks(TEXT, "ini")[0], re.MULTILINE)
    assert set(map(int, codes.split())) == FINAL


AIRFLOW = """
import sys, types
def task(**_options): return lambda function: function
for name in ("airflow", "airflow.decorators", "airflow.exceptions"):
    sys.modules[name] = types.ModuleType(name)
sys.modules["airflow.decorators"].task = task
sys.modules["airflow.exceptions"].AirflowException = type("AirflowException", (Exception,), {})
sys.modules["airflow.exceptions"].AirflowFailException = type("AirflowFailException", (Exception,), {})
"""


@pytest.mark.parametrize("code", [0, 1, 2, 3, 4, 5, 6, 8, 143])
def test_airflow_task_retries_what_can_pass(tmp_path: Path, code: int) -> None:
    """After 0 it is done, after a final code it fails at once, after any other one Airflow tries again."""
    (tmp_path / "intercom-exporter").write_text(f"#!/bin/sh\nexit {code}\n")
    (tmp_path / "intercom-exporter").chmod(0o755)
    program = f"{AIRFLOW}\n{code_blocks(TEXT, 'python')[0]}\ntry:\n    export_contacts()\nexcept Exception as error:\n"
    done = subprocess.run(
        [sys.executable, "-c", f"{program}    print(type(error).__name__)\n"],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    expected = "" if code == 0 else "AirflowFailException" if code in FINAL else "AirflowException"
    assert done.stdout.strip() == expected
