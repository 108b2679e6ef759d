"""Whose jobs a key sees, how many it may have, and how a killed worker's job goes on."""

import json
import os
import signal
import sqlite3
import subprocess
import time
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from services.auth.keys import read_ring, rotate_key
from tests.services.http_client import ask
from tests.services.jobs.client import ended, people, rows_body, status_of, submit
from tests.services.jobs.conftest import MAX_OPEN, Shared

pytestmark = pytest.mark.slow


def test_a_key_sees_its_own_jobs_only(shared: Shared) -> None:
    """Even by the same id: each of the two has a job of its own."""
    bodies = rows_body(people(2)), rows_body(people(3))
    keys = shared.ada, shared.bob
    for body, key in zip(bodies, keys, strict=True):
        assert ask(shared.service, "/jobs/mine?model=tiny", body, "PUT", key)[0] == 202
    only = submit(shared.service, bodies[0], headers=shared.ada)
    hidden, answer, _ = ask(shared.service, f"/jobs/{only['id']}", None, "GET", shared.bob)
    kept, _, _ = ask(shared.service, f"/jobs/{only['id']}", None, "DELETE", shared.bob)
    nobody, _, _ = ask(shared.service, "/jobs", None, "GET")

    assert [ended(shared.service, "mine", key)["rows"] for key in keys] == [2, 3]
    assert (hidden, answer["error"]["code"], kept) == (404, "unknown_job", 404)
    assert nobody == 401
    assert ended(shared.service, only["id"], shared.ada)["state"] == "finished"


def test_a_rotated_key_has_the_jobs_of_the_old_one(shared: Shared) -> None:
    job = submit(shared.service, rows_body(people(2)), headers=shared.bob)
    old = next(key for key in read_ring(shared.keys_file).keys if key.name == "bob")
    _, text = rotate_key(shared.keys_file, old.id, timedelta(hours=1))
    time.sleep(1.5)

    assert status_of(shared.service, job["id"], {"x-api-key": text})["id"] == job["id"]
    assert ended(shared.service, job["id"], shared.bob)["state"] == "finished"


def test_too_many_open_jobs_and_too_many_rows_are_refused(shared: Shared) -> None:
    large = rows_body(people(60_000))
    open_jobs = [submit(shared.service, large, headers=shared.ada) for _ in range(MAX_OPEN)]
    status, answer, headers = ask(
        shared.service, "/models/tiny/jobs", rows_body(people(1)), headers=shared.ada
    )
    other = submit(shared.service, rows_body(people(1)), headers=shared.bob)
    for job in open_jobs:
        ask(shared.service, f"/jobs/{job['id']}", None, "DELETE", shared.ada)
    rows, too_large, _ = ask(
        shared.service, "/models/tiny/jobs", rows_body([{}] * 100_001), headers=shared.ada
    )
    accepted = submit(shared.service, rows_body(people(1)), headers=shared.ada)

    assert (status, answer["error"]["code"]) == (429, "too_many_jobs")
    assert int(headers["retry-after"]) > 0
    assert (rows, too_large["error"]["code"]) == (413, "body_too_large")
    for job_id, key in ((other["id"], shared.bob), (accepted["id"], shared.ada)):
        assert ended(shared.service, job_id, key)["state"] == "finished"


def test_a_job_may_name_a_file_below_the_folder_of_inputs(shared: Shared) -> None:
    rows = people(30, seed=4)
    (shared.inputs / "rows.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    job = submit(shared.service, b'{"input": "rows.jsonl"}', headers=shared.bob)
    status, answer, _ = ask(
        shared.service, "/models/tiny/jobs", b'{"input": "../keys.json"}', headers=shared.bob
    )
    done = ended(shared.service, job["id"], shared.bob)

    assert (done["state"], done["rows"], done["rejected"]) == ("finished", 30, 0)
    assert (status, answer["error"]["violations"][0]["path"]) == (422, "input")


def workers_of(shared: Shared) -> list[int]:
    """The processes that score the jobs of the service."""
    command = ["pgrep", "-f", f"services.job_worker --parent {shared.service.process.pid}$"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return [int(pid) for pid in done.stdout.split()]


def await_worker(shared: Shared) -> int:
    for _ in range(600):
        if pids := workers_of(shared):
            return pids[0]
        time.sleep(0.05)
    pytest.fail("no worker was started again")


def doubled_rows(database: Path, job_id: str) -> list[tuple[int, int]]:
    """The chunks of a job that do not begin where the previous one ended."""
    with closing(sqlite3.connect(database)) as connection:
        chunks = connection.execute(
            "SELECT first_row, results.n_rows FROM results JOIN jobs ON jobs.seq = job"
            " WHERE id = ? ORDER BY first_row",
            (job_id,),
        ).fetchall()
    ends = [0, *(first + n for first, n in chunks)]
    return [chunk for chunk, end in zip(chunks, ends, strict=False) if chunk[0] != end]


def test_the_job_of_killed_workers_goes_on_and_no_row_is_doubled(shared: Shared) -> None:
    job = submit(shared.service, rows_body(people(20_000)), headers=shared.ada)
    for _ in range(3):
        before = status_of(shared.service, job["id"], shared.ada)["rows_done"]
        pid = await_worker(shared)
        for _ in range(400):
            if status_of(shared.service, job["id"], shared.ada)["rows_done"] > before:
                break
            time.sleep(0.01)
        os.kill(pid, signal.SIGKILL)
    done = ended(shared.service, job["id"], shared.ada, 120)

    assert (done["state"], done["rows_done"]) == ("finished", 20_000)
    assert doubled_rows(shared.service.layout.jobs, job["id"]) == []
    status, page, _ = ask(
        shared.service, f"/jobs/{job['id']}/results?cursor=19990", None, "GET", shared.ada
    )
    assert (status, len(page["results"]), page["next"]) == (200, 10, None)


def test_a_worker_that_is_stopped_gives_its_job_back(shared: Shared) -> None:
    job = submit(shared.service, rows_body(people(20_000)), headers=shared.ada)
    pid = await_worker(shared)
    for _ in range(1000):
        if status_of(shared.service, job["id"], shared.ada)["rows_done"]:
            break
        time.sleep(0.01)
    os.kill(pid, signal.SIGTERM)
    for _ in range(200):
        if pid not in workers_of(shared):
            break
        time.sleep(0.02)
    with closing(sqlite3.connect(shared.service.layout.jobs)) as connection:
        (state,) = connection.execute(
            "SELECT state FROM jobs WHERE id = ?", (job["id"],)
        ).fetchone()

    assert state in {"queued", "finished"}
    assert ended(shared.service, job["id"], shared.ada)["state"] == "finished"
