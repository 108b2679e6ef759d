"""Which store keeps the jobs of this installation, as the settings say."""

from contracts.names import Layout
from services.jobs.queue import JobQueue
from services.jobs.sqlite_database import JobDatabase
from services.jobs.sqlite_leases import SqliteLeases
from services.jobs.sqlite_store import SqliteAcceptance
from services.settings import ServiceSettings


def open_queue(settings: ServiceSettings) -> JobQueue:
    """The jobs of a service. Nothing is written before the first job."""
    return JobQueue(SqliteAcceptance(_database(settings), settings.jobs_retention_s), settings)


def open_leases(settings: ServiceSettings) -> SqliteLeases:
    """The jobs of a worker."""
    return SqliteLeases(
        _database(settings),
        settings.jobs_lease_s,
        settings.jobs_attempts,
        settings.jobs_retention_s,
    )


def _database(settings: ServiceSettings) -> JobDatabase:
    return JobDatabase(Layout(settings.var).jobs, min_free_bytes=settings.jobs_min_free_bytes)
