"""Tests of the page about several machines: its blocks run against a simulated tenant, and its files are valid."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from purgeengine.edges.ledger import LedgerReader
from purgeengine.sim.wire.answers import Trouble
from tests.cli.test_main import a_tenant
from tests.pages.test_blocks import ROOT, block_behind, executable, in_bash, needs_bash
from tests.support.cli_fixtures import Bench, a_bench, rows_of

PAGE = (ROOT / "docs" / "several-machines.md").read_text(encoding="utf-8")
ROWS = rows_of([30, 20, 20, 10, 10, 5, 3, 2])
DENIED = ROWS[30][0]
WAIT_S = 60.0
JOB: dict[str, Any] = yaml.safe_load(block_behind(PAGE, "file: shards-job.yaml"))


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """Open a bench in whose folder the blocks run, with the program on the path and the tenant's addresses in the environment."""
    programs = tmp_path / "programs"
    programs.mkdir()
    executable(programs / "purgeengine", f'#!/bin/sh\nexec "{sys.executable}" -m purgeengine "$@"\n')
    tenant = a_tenant(ROWS)
    tenant.truth.mailbox(DENIED).trouble = Trouble.DENIED
    with a_bench(tmp_path, tenant, ROWS) as found:
        for name, value in found._environment({}).items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
        monkeypatch.setenv("PYTHONPATH", str(ROOT))
        monkeypatch.setenv("PURGEENGINE_GRAPH_URL", found.server.graph_url)
        monkeypatch.setenv("PURGEENGINE_AUTHORITY", found.server.authority_url)
        monkeypatch.setenv("PURGEENGINE_CA_FILE", str(found.server.ca_file))
        shutil.copy(found.input, tmp_path / "contacts.csv")
        (tmp_path / "shard-worker.sh").write_text(block_behind(PAGE, "file: shard-worker.sh"), encoding="utf-8")
        yield found


def check_result(bench: Bench, rows: list[dict[str, str]]) -> None:
    """Compare an export with the tenant's truth: in input order, gone where it says gone, and each contact deleted once."""
    assert [(row["user"], row["folder"], row["contact"]) for row in rows] == ROWS
    assert {row["outcome"] for row in rows if row["user"] != DENIED} == {"purged"}
    assert {row["outcome"] for row in rows if row["user"] == DENIED} <= {"refused", "skipped"}
    assert bench.server.tenant.truth.remaining() == 20


def exported(bench: Bench, name: str = "result.csv") -> list[dict[str, str]]:
    with (bench.folder / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@needs_bash
def test_the_block_by_hand_runs_as_it_stands(bench: Bench) -> None:
    """Cut, run, status, collect and export, line by line."""
    done = in_bash(block_behind(PAGE, "run: by hand"), bench.folder)
    assert done.returncode == 0, done.stderr
    assert "100 rows over 3 shards, complete" in done.stdout
    check_result(bench, exported(bench))


def cut(bench: Bench) -> None:
    done = in_bash(
        "purgeengine shard cut contacts.csv --shards 3 --ledger ./cleanup -o ./shards --yes --quiet", bench.folder
    )
    assert done.returncode == 0, done.stderr


def collected(bench: Bench) -> list[dict[str, str]]:
    done = in_bash(
        "purgeengine shard collect ./cleanup ./shards && purgeengine export ./cleanup result.csv", bench.folder
    )
    assert done.returncode == 0, done.stderr + done.stdout
    return exported(bench)


@needs_bash
def test_the_job_of_kubernetes_runs_every_shard(bench: Bench) -> None:
    """The container's own command, once for each index, as the controller starts it. The paths are below the test's folder."""
    cut(bench)
    container = JOB["spec"]["template"]["spec"]["containers"][0]
    command = [word.replace("/scripts", str(bench.folder)) for word in container["command"]]
    for index in range(JOB["spec"]["completions"]):
        own = {one["name"]: str(bench.folder) + one["value"] for one in container["env"]}
        environment = {**os.environ, **own, "JOB_COMPLETION_INDEX": str(index)}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=WAIT_S)
        assert done.returncode == 0, done.stderr
    check_result(bench, collected(bench))


def test_the_job_of_kubernetes_has_the_fields_that_it_needs() -> None:
    """Each field is one of the API's (batch/v1), the pods are indexed, and the local disk outlives the container."""
    spec, pod = JOB["spec"], JOB["spec"]["template"]["spec"]
    assert (JOB["apiVersion"], JOB["kind"]) == ("batch/v1", "Job")
    assert set(JOB) == {"apiVersion", "kind", "metadata", "spec"}
    assert set(spec) == {"completionMode", "completions", "parallelism", "backoffLimit", "template"}
    assert (spec["completionMode"], spec["completions"] >= spec["parallelism"] > 0) == ("Indexed", True)
    assert set(pod) == {"restartPolicy", "terminationGracePeriodSeconds", "containers", "volumes"}
    assert pod["restartPolicy"] == "OnFailure"  # the container is started again in the same pod, with its emptyDir
    assert pod["terminationGracePeriodSeconds"] > 30
    volumes = {volume["name"]: set(volume) - {"name"} for volume in pod["volumes"]}
    assert volumes == {"shards": {"persistentVolumeClaim"}, "work": {"emptyDir"}, "scripts": {"configMap"}}
    (container,) = pod["containers"]
    assert set(container) == {"name", "image", "command", "env", "envFrom", "volumeMounts"}
    assert {mount["name"] for mount in container["volumeMounts"]} == set(volumes)
    assert {mount["mountPath"] for mount in container["volumeMounts"]} == {"/shards", "/work", "/scripts"}


@needs_bash
def test_the_array_of_slurm_runs_every_shard(bench: Bench) -> None:
    """The script, once for each number of its own --array line, with the variables that Slurm sets."""
    cut(bench)
    (bench.folder / "credentials.env").write_text("# in the environment already\n", encoding="utf-8")
    script = bench.folder / "shards.slurm"
    script.write_text(block_behind(PAGE, "file: shards.slurm"), encoding="utf-8")
    (array,) = [line for line in script.read_text().splitlines() if line.startswith("#SBATCH --array=")]
    first, last = map(int, array.removeprefix("#SBATCH --array=").split("-"))
    for number in range(first, last + 1):
        own = {
            "SLURM_SUBMIT_DIR": str(bench.folder),
            "SLURM_ARRAY_JOB_ID": "17",
            "SLURM_ARRAY_TASK_ID": str(number),
            "TMPDIR": str(bench.folder),
        }
        done = subprocess.run(["bash", str(script)], env={**os.environ, **own}, check=False, timeout=WAIT_S)
        assert done.returncode == 0
    check_result(bench, collected(bench))


def test_the_workflow_is_one_of_github(tmp_path: Path) -> None:
    """It is valid by the schema of its host, which the package check-jsonschema holds. A wrong key is noticed."""
    pytest.importorskip(
        "check_jsonschema", reason="check-jsonschema is not installed: the dependency group docs has it"
    )
    text = block_behind(PAGE, "file: purge.yml")
    for content, code in ((text, 0), (text.replace("fail-fast", "fail-quickly"), 1)):
        (tmp_path / "purge.yml").write_text(content, encoding="utf-8")
        command = ["check_jsonschema", "--builtin-schema", "vendor.github-workflows", str(tmp_path / "purge.yml")]
        done = subprocess.run(
            [sys.executable, "-m", *command], capture_output=True, text=True, check=False, timeout=WAIT_S
        )
        assert done.returncode == code, done.stdout
    (job,) = yaml.safe_load(text)["jobs"].values()
    assert job["strategy"]["matrix"]["number"] == list(range(3))


@needs_bash
def test_a_drill_with_a_killed_and_a_moved_shard(bench: Bench) -> None:
    """One shard is run to its end, one is killed and resumed in another place, one is stopped by SIGTERM and goes on.

    What the head says in the end is what the tenant has, and before that the shards together have each row once.
    """
    cut(bench)
    shards = bench.folder / "shards"
    worker = {**os.environ, "SHARDS": str(shards), "WORK": str(bench.folder / "work")}
    slow = ["--rate", "10", "--yes", "--quiet", "--json"]

    assert subprocess.run(["bash", "shard-worker.sh", "0"], cwd=bench.folder, env=worker, check=False).returncode == 0

    killed = bench.start("run", "--ledger", str(shards / "shard-01"), *slow)
    until_sent(shards / "shard-01")
    killed.send_signal(signal.SIGKILL)
    killed.communicate(timeout=WAIT_S)
    shutil.move(shards / "shard-01", bench.folder / "elsewhere")
    done = bench.command("run", "--ledger", str(bench.folder / "elsewhere"), *slow[2:], "--quarantine-s", "1")
    assert done.code in (0, 1), done.err

    stopped = subprocess.Popen(
        ["bash", "shard-worker.sh", "2"],
        cwd=bench.folder,
        env={**worker, "PURGEENGINE_RATE": "10"},
        stderr=subprocess.PIPE,
    )
    until_sent(bench.folder / "work" / "shard-02")
    stopped.send_signal(signal.SIGTERM)
    stopped.communicate(timeout=WAIT_S)
    assert stopped.returncode == 4
    status = in_bash("purgeengine status ./cleanup ./shards elsewhere --json", bench.folder)
    whole = json.loads(status.stdout)
    assert sum(whole["outcomes"].values()) + whole["waiting"] + whole["in_doubt"] == whole["rows"] == 100
    assert whole["waiting"] > 0
    assert subprocess.run(["bash", "shard-worker.sh", "2"], cwd=bench.folder, env=worker, check=False).returncode == 0

    done_ = in_bash(
        "purgeengine shard collect ./cleanup ./shards elsewhere && purgeengine export ./cleanup result.csv",
        bench.folder,
    )
    assert done_.returncode == 0, done_.stderr
    check_result(bench, exported(bench))


def until_sent(ledger: Path) -> None:
    """Wait until a run over this ledger has settled a row."""
    until = time.monotonic() + WAIT_S
    while time.monotonic() < until:
        if (ledger / "ledger.sqlite").exists():
            with LedgerReader.open(ledger) as reader:
                if reader.pace().last_settled_utc is not None:
                    return
        time.sleep(0.02)
    raise AssertionError(f"nothing was settled in {ledger}")
