"""What a job is: its states, what is accepted, what a worker gets, what a client reads."""

import re
import time
from datetime import UTC, datetime
from typing import Literal

import msgspec

from contracts.times import utc_text
from services.faults import Fault
from services.inference.ids import id_head, new_id_tails
from services.protocols.fault_body import FaultDetail

JobState = Literal["queued", "running", "finished", "failed", "cancelled"]
InputKind = Literal["json", "csv", "file"]
"""What the input of a job is: a body of the batch route, a table as CSV, the name of a file."""
CallbackState = Literal["none", "waiting", "delivered", "given_up"]
OPEN_STATES: tuple[JobState, ...] = ("queued", "running")
_JOB_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._~-]{0,63}")


class NewJob(msgspec.Struct, frozen=True, kw_only=True):
    """A job to be accepted. `owner`: the key whose job it is, empty where keys are off.

    `digest`: sha256 of everything that decides on the results. `n_rows`: None if the rows are
    counted when the job starts.
    """

    owner: str
    id: str
    model: str
    kind: InputKind
    body: bytes
    digest: str
    n_rows: int | None
    callback: str = ""


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """A job as the store knows it. Times are seconds since 1970.

    `attempts`: how often a worker took it since the last chunk that was written. `pointer`: the
    version that scores it, a `contracts.manifest.Pointer` as JSON; empty before it started.
    `source`: sha256 of the file with its rows, if it is one.
    `error`: why it failed.
    """

    seq: int
    owner: str
    id: str
    model: str
    state: JobState
    kind: InputKind
    digest: str
    created_at: float
    started_at: float | None
    ended_at: float | None
    expires_at: float | None
    attempts: int
    pointer: bytes
    source: str
    n_rows: int | None
    rows_done: int
    n_chunks: int
    rejected: int
    error: FaultDetail | None
    callback: str
    callback_state: CallbackState

    @property
    def is_open(self) -> bool:
        """Whether it will still be scored."""
        return self.state in OPEN_STATES


class JobStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What `GET /jobs/{id}` answers. Times are UTC, RFC 3339; null for what is not known yet.

    `progress`: the share of the rows that are done, 0..1. `rejected`: rows whose result is an
    error. `time_left_s`: an estimate from the speed until now.
    """

    id: str
    model: str
    state: JobState
    version: int | None
    digest: str | None
    rows: int | None
    rows_done: int
    rejected: int
    progress: float | None
    time_left_s: float | None
    attempts: int
    created_at: str
    started_at: str | None
    ended_at: str | None
    expires_at: str | None
    error: FaultDetail | None
    callback: CallbackState


class _Version(msgspec.Struct, frozen=True):
    version: int
    digest: str


def status_of(job: Job, now: float) -> JobStatus:
    """What a client reads of a job at the time `now`."""
    known = msgspec.json.decode(job.pointer, type=_Version) if job.pointer else None
    return JobStatus(
        id=job.id,
        model=job.model,
        state=job.state,
        version=known.version if known else None,
        digest=known.digest if known else None,
        rows=job.n_rows,
        rows_done=job.rows_done,
        rejected=job.rejected,
        progress=round(job.rows_done / job.n_rows, 4) if job.n_rows else None,
        time_left_s=time_left_s(job, now),
        attempts=job.attempts,
        created_at=_text(job.created_at) or "",
        started_at=_text(job.started_at),
        ended_at=_text(job.ended_at),
        expires_at=_text(job.expires_at),
        error=job.error,
        callback=job.callback_state,
    )


def time_left_s(job: Job, now: float) -> float | None:
    """The seconds until a running job is done, if its speed stays; None if that is unknown."""
    if job.state != "running" or not job.n_rows or not job.rows_done or job.started_at is None:
        return None
    elapsed_s = max(now - job.started_at, 0.0)
    return round(elapsed_s * (job.n_rows - job.rows_done) / job.rows_done, 1)


def check_job_id(text: str) -> str:
    """A client's own id of a job.

    Raises:
        Fault: `not_found`: it is no id, so there is no such job and can be none.

    """
    if not _JOB_ID.fullmatch(text):
        got = repr(text[:80])
        expected = "1 to 64 letters, digits and . _ ~ -, the first a letter or a digit"
        raise Fault("not_found", f"job id: expected {expected}, got {got}")
    return text


def new_job_id() -> str:
    """A new id, which sorts by time."""
    head = id_head(datetime.fromtimestamp(time.time(), UTC))
    return (head + new_id_tails(1)[0]).decode()


def fault_detail(fault: Fault) -> FaultDetail:
    """Why a job failed, as it is stored and answered."""
    return FaultDetail(fault.code, fault.message, fault.violations)


def _text(seconds: float | None) -> str | None:
    return None if seconds is None else utc_text(datetime.fromtimestamp(seconds, UTC))
