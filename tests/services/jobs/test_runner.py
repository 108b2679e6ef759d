"""Attempts at a job: a written chunk begins them again; a damaged database ends no worker."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from contracts.names import Layout
from services.faults import Fault
from services.jobs import runner as runner_module
from services.jobs.runner import JobRunner
from services.jobs.sqlite_database import JobDatabase
from services.jobs.sqlite_leases import SqliteLeases
from services.jobs.sqlite_store import SqliteAcceptance
from services.jobs.store import Lease
from services.settings import ServiceSettings
from tests.services.conftest import ROOT
from tests.services.jobs.stores import chunk, claimed, new_job


class FailsAtTheSecond(JobRunner):
    """Writes one chunk of a job, and then meets a fault that may pass."""

    async def _score(self, lease: Lease) -> None:
        self._leases.begin(lease, b"{}", 4, "")
        await self._write(lease, chunk(0), 0, 0)
        raise Fault("deadline_exceeded")


def test_a_fault_after_a_written_chunk_is_its_first_attempt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner_module, "ATTEMPT_PAUSE_S", 0.0)
    database = JobDatabase(tmp_path / "jobs.db")
    store, leases = SqliteAcceptance(database, 60), SqliteLeases(database, 60, 3, 60)
    store.accept(new_job(), 9)
    for _ in range(2):
        leases.give_back(claimed(leases), 0.0, is_attempt=True)
    settings = ServiceSettings(var=tmp_path, jobs_attempts=3)
    endpoints: Any = None
    runner = FailsAtTheSecond(leases, endpoints, settings, lambda: False)

    asyncio.run(runner.run(claimed(leases)))

    job = store.find("", "a")
    assert (job.state, job.rows_done) == ("queued", 2)


@pytest.mark.slow
def test_a_database_that_cannot_be_read_ends_no_worker(tmp_path: Path) -> None:
    path = Layout(tmp_path).jobs
    path.parent.mkdir(parents=True)
    path.write_bytes(b"no database" * 1000)
    worker = subprocess.Popen(
        [sys.executable, "-m", "services.job_worker"],
        env={"SLIPWAY_VAR": str(tmp_path), "PATH": ""},
        stderr=subprocess.PIPE,
        text=True,
    )
    time.sleep(3)
    assert worker.poll() is None
    worker.terminate()
    _, errors = worker.communicate(timeout=30)

    assert "Traceback" not in errors
    assert "jobs.db: file is not a database" in errors


@pytest.mark.slow
def test_a_worker_in_the_background_of_a_shell_outlives_the_shell(tmp_path: Path) -> None:
    command = f'"{sys.executable}" -m slipway worker >log 2>&1 </dev/null & echo $!'
    environ = {"SLIPWAY_VAR": str(tmp_path / "var"), "PATH": "", "PYTHONPATH": str(ROOT)}
    shell = subprocess.run(
        ["/bin/sh", "-c", command],
        cwd=tmp_path, env=environ, capture_output=True, text=True, check=True,
    )  # fmt: skip
    pid = int(shell.stdout)
    try:
        time.sleep(4)
        os.kill(pid, 0)
        assert (tmp_path / "log").read_text() == ""
    finally:
        os.kill(pid, signal.SIGTERM)
