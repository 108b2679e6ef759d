"""What clients read of a job keeps its form: a golden file per version of it."""

import json
from pathlib import Path

import msgspec

from contracts.schema import Violation
from services.jobs.job import Job, JobStatus, status_of
from services.protocols.fault_body import FaultDetail

GOLDEN = Path(__file__).parent / "golden" / "jobstatus.v1.json"
BEGAN = 1_769_860_800.0


def test_the_status_of_a_job_says_what_it_always_said() -> None:
    job = Job(
        seq=3, owner="ada", id="night-run-17", model="loan", state="failed", kind="json",
        digest="44" * 32, created_at=BEGAN, started_at=BEGAN + 1.5, ended_at=BEGAN + 3,
        expires_at=BEGAN + 604_803, attempts=1, source="", n_rows=4000, rows_done=1000, n_chunks=1,
        pointer=b'{"name":"loan","version":7,"digest":"%b"}' % (b"5" * 64), rejected=3,
        error=FaultDetail(
            "invalid_request", "body: rows break the schema",
            (Violation("rows[1000].age", "a number", "null"),),
        ),
        callback="https://hook.example/jobs", callback_state="delivered",
    )  # fmt: skip
    written = json.loads(msgspec.json.encode(status_of(job, BEGAN + 4)))

    assert written == json.loads(GOLDEN.read_bytes())
    assert msgspec.json.decode(GOLDEN.read_bytes(), type=JobStatus).id == job.id
