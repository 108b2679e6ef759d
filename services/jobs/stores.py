"""Which store keeps the jobs of this installation, as the settings say."""

from contracts.names import Layout
from services.jobs.queue import JobQueue
from services.jobs.sqlite_database import JobDatabase
from services.jobs.sqlite_leases import SqliteLeases
from services.jobs.sqlite_store import SqliteAcceptance
from services.settings import ServiceSettings


def open_queue(settings: ServiceSettings) -> JobQueue:
    """The jobs of a service. Nothing is written before the first job."""
    database = JobDatabase(Layout(settings.var).jobs)
    return JobQueue(SqliteAcceptance(database, settings.jobs_retention_s), settings)


def open_leases(settings: ServiceSettings) -> SqliteLeases:
    """The jobs of a worker."""
    return SqliteLeases(
        JobDatabase(Layout(settings.var).jobs),
        settings.jobs_lease_s,
        settings.jobs_attempts,
        settings.jobs_retention_s,
    )
