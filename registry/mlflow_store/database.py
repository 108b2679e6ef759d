"""A database as the tracking server: whether it answers, before MLflow asks it.

MLflow tries fifteen times with pauses that double, which is an hour; a wrong password takes as
long as a server that is down.
"""

from urllib.parse import urlsplit

from contracts.errors import RegistryUnreachable, first_line

SCHEMES = ("postgresql", "mysql", "mssql")
"""The databases that MLflow supports apart from SQLite, which is a file."""


def is_database_server(uri: str) -> bool:
    """Whether a tracking URI names a database that is reached over the network."""
    return urlsplit(uri).scheme.partition("+")[0] in SCHEMES


def check_database(uri: str, timeout_s: float) -> None:
    """Connect once.

    Raises:
        RegistryUnreachable: it does not answer within `timeout_s`, or refuses us.
        ModuleNotFoundError: its driver is not installed.

    """
    from sqlalchemy import create_engine
    from sqlalchemy.exc import ArgumentError, SQLAlchemyError
    from sqlalchemy.pool import NullPool

    # Microsoft's driver names it differently; its own default is 15 seconds.
    arguments = {} if uri.startswith("mssql") else {"connect_timeout": max(1, round(timeout_s))}
    try:
        engine = create_engine(uri, poolclass=NullPool, connect_args=arguments)
        engine.connect().close()
    except (SQLAlchemyError, ArgumentError) as err:
        cause = first_line(err.__cause__ or err)
        raise RegistryUnreachable(
            f"tracking database: expected a connection to {without_password(uri)}, got {cause}",
            remedy="check that it runs, and the user, password and database in MLFLOW_TRACKING_URI",
        ) from None  # the cause shows the URI with its password


def without_password(uri: str) -> str:
    """The URI with stars for its password.

    >>> without_password("postgresql+psycopg2://ada:secret@db:5432/mlflow")
    'postgresql+psycopg2://ada:***@db:5432/mlflow'
    >>> without_password("http://127.0.0.1:5000")
    'http://127.0.0.1:5000'
    """
    parts = urlsplit(uri)
    if parts.password is None:
        return uri
    user, _, host = parts.netloc.rpartition("@")
    return parts._replace(netloc=f"{user.partition(':')[0]}:***@{host}").geturl()
