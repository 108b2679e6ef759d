"""What a store of jobs does, for the service and for its workers.

Every method blocks: call it in a thread. A method that writes has written to the disk what it
acknowledges: an accepted job, the end of a job, a cancellation.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from services.faults import Fault
from services.jobs.job import Job, NewJob


class JobPage(msgspec.Struct, frozen=True):
    """Some jobs, and the cursor behind the last of them; None behind the last job."""

    jobs: Sequence[Job]
    next: int | None


class Chunk(msgspec.Struct, frozen=True):
    """The results of consecutive rows: a line of JSON per row, the first being `first_row`."""

    first_row: int
    n_rows: int
    lines: bytes


class ModelCount(msgspec.Struct, frozen=True):
    """How many jobs, or rows, of a model are in a state or ended so."""

    model: str
    state: str
    n: int


class QueueFigures(msgspec.Struct, frozen=True):
    """What is measured of a store.

    `jobs`: open ones by state. `ended`: since the store was made, by outcome. `rows`: scored and
    rejected ones, likewise. `oldest_s`: how long the first queued job has been ready for a worker.
    """

    jobs: Sequence[ModelCount]
    ended: Sequence[ModelCount]
    rows: Sequence[ModelCount]
    oldest_s: float


class Lease(msgspec.Struct, frozen=True):
    """A worker's right to score a job, as long as the store knows `token`.

    It forgets the token when the job is cancelled, and when another worker takes the job because
    this one did not renew its lease in time.
    """

    job: Job
    token: str


class Callback(msgspec.Struct, frozen=True):
    """A notification that is due: `attempts` were made before, the first at `ended_at`.

    `origin`: the scheme and host that it goes to.
    """

    job: Job
    attempts: int
    origin: str


class LeaseLost(Exception):
    """Another worker has the job, or it was cancelled: what was not written must be dropped."""


class JobAcceptance(Protocol):
    """The side of a store that the service uses. `owner` sees its own jobs only."""

    def accept(self, job: NewJob, max_open: int) -> Job:
        """Keep a job; the one with the same id, owner and digest if it is there already.

        Raises:
            Fault: `job_conflict` if the id has another digest, `too_many_jobs` if the owner has
                `max_open` open ones, `jobs_unavailable` if it cannot be written.

        """

    def find(self, owner: str, job_id: str) -> Job:
        """A job.

        Raises:
            Fault: `unknown_job`, `jobs_unavailable`.

        """

    def list_open(self, owner: str, after: int, limit: int) -> JobPage:
        """The open jobs that were accepted after the cursor `after`, oldest first."""

    def chunks(self, job: Job, first_row: int, n_rows: int) -> Sequence[Chunk]:
        """The chunks of a finished job that hold these rows."""

    def cancel(self, owner: str, job_id: str) -> Job:
        """Cancel an open job; returns it as it is then.

        Raises:
            Fault: `unknown_job`, `job_ended`, `jobs_unavailable`.

        """

    def figures(self) -> QueueFigures:
        """What is measured."""


class JobLeases(Protocol):
    """The side of a store that workers use."""

    def claim(self) -> Lease | None:
        """The next job, if there is one. A job that too many workers left ends as failed."""

    def input(self, lease: Lease) -> bytes:
        """The body of a job."""

    def begin(self, lease: Lease, pointer: bytes, n_rows: int, source: str) -> None:
        """Record which version scores a job, how many rows it has, and the digest of its file."""

    def renew(self, lease: Lease) -> None:
        """Keep a job.

        Raises:
            LeaseLost: it is no longer this worker's.

        """

    def write_chunk(self, lease: Lease, chunk: Chunk, index: int, rejected: int) -> None:
        """Keep the results of a chunk, once.

        Raises:
            LeaseLost: the job is no longer this worker's, or the chunk is there already.

        """

    def finish(self, lease: Lease) -> None:
        """End a job whose chunks are all written."""

    def fail(self, lease: Lease, fault: Fault) -> None:
        """End a job that cannot be scored."""

    def give_back(self, lease: Lease, delay_s: float, *, is_attempt: bool) -> None:
        """Let another worker take a job after a delay. `is_attempt`: count this as an attempt."""

    def expire(self) -> int:
        """Remove the jobs whose time has passed; returns how many."""

    def due_callbacks(
        self, limit: int, *, per_origin: int, busy: Mapping[str, int]
    ) -> Sequence[Callback]:
        """Notifications that are due; no other worker gets them for a while.

        At most `per_origin` of one origin, less those of it that are in flight (`busy`): a host
        that hangs delays no other.
        """

    def end_callback(self, callback: Callback, *, is_delivered: bool) -> None:
        """Record an attempt: it is over, or is made again later, or is given up."""
