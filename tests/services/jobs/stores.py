"""Jobs in a database of a test's own."""

from services.jobs.job import NewJob
from services.jobs.sqlite_leases import SqliteLeases
from services.jobs.store import Chunk, Lease


def new_job(job_id: str = "a", body: bytes = b"{}", callback: str = "") -> NewJob:
    return NewJob(
        owner="", id=job_id, model="tiny", kind="json", body=body, digest=job_id, n_rows=4,
        callback=callback,
    )  # fmt: skip


def claimed(leases: SqliteLeases) -> Lease:
    lease = leases.claim()
    assert lease is not None
    return lease


def chunk(first_row: int) -> Chunk:
    return Chunk(first_row, 2, b"1\n2\n")
