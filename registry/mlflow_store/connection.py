"""A connection to one tracking server: pages, retries and errors of every call."""

import logging
import os
import socket
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, ParamSpec, Protocol, Self
from urllib.parse import urlsplit

from contracts.errors import PlatformError
from registry.mlflow_store.database import check_database, is_database_server
from registry.mlflow_store.errors import our_errors, translated, unreachable

RETRY_PAUSES_S = (0.05, 0.2, 0.8)
"""Seconds before each retry of a write that collided with another one."""

P = ParamSpec("P")


class Search(Protocol):
    """One of the client's `search_*` methods."""

    def __call__(self, *args: Any, page_token: str | None, **kwargs: Any) -> Any:
        """One page of results: a list with the attribute `token`, empty on the last page."""


class Connection:
    """MLflow's client for one tracking server. Open it with `Connection.open`.

    `client` is MLflow's own, without types; only this package uses it.
    """

    def __init__(self, tracking_uri: str, client: Any) -> None:
        self.tracking_uri = tracking_uri
        self.client = client

    @classmethod
    def open(cls, timeout_s: int) -> Self:
        """Connect to MLFLOW_TRACKING_URI, or to MLflow's own default: `mlflow.db` here.

        Raises:
            RegistryUnreachable: the server does not answer within `timeout_s`.

        """
        uri = os.environ.get("MLFLOW_TRACKING_URI") or default_uri(Path.cwd())
        _probe(uri, timeout_s)
        # By default MLflow waits two minutes for a silent server and tries eight times. One
        # retry is for a kept-alive connection that the server has just closed.
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", str(max(1, timeout_s // 2)))
        # Otherwise MLflow prints two lines at the end of each run, even into JSON output.
        os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
        os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
        # The first use of an SQLite file logs each migration of its schema.
        logging.getLogger("alembic").setLevel(logging.WARNING)
        logging.getLogger("mlflow.store.db.utils").setLevel(logging.WARNING)
        from mlflow import MlflowClient

        with our_errors(uri):
            client = MlflowClient(tracking_uri=uri, registry_uri=uri)
        return cls(uri, client)

    def errors(self) -> AbstractContextManager[None]:
        """Raise MLflow's errors in the block as ours."""
        return our_errors(self.tracking_uri)

    def search(self, search: Search, *args: Any, **kwargs: Any) -> list[Any]:
        """The results on every page of one of the client's `search_*` methods."""
        found: list[Any] = []
        token: str | None = None
        while True:
            with self.errors():
                page = search(*args, **kwargs, page_token=token)
            found += page
            token = page.token
            if not token:
                return found

    def write(self, act: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> None:
        """Do an idempotent write, and retry it when it collided with another writer.

        MLflow checks whether a row exists and then inserts or updates it. When two processes
        do so at once, one of them fails; its retry succeeds.
        """
        from mlflow.exceptions import MlflowException

        for pause_s in RETRY_PAUSES_S:
            try:
                act(*args, **kwargs)
            except MlflowException as err:
                error = translated(err, self.tracking_uri)
                if type(error) is not PlatformError:
                    raise error from err
                time.sleep(pause_s)
            else:
                return
        with self.errors():
            act(*args, **kwargs)


def default_uri(folder: Path) -> str:
    """MLflow's own default in a folder, so that plain `mlflow ui` there shows it."""
    return f"sqlite:///{(folder / 'mlflow.db').resolve()}"


def _probe(uri: str, timeout_s: float) -> None:
    """Fail within `timeout_s`, where MLflow's client would try for minutes."""
    if is_database_server(uri):
        check_database(uri, timeout_s)
        return
    parts = urlsplit(uri)
    if parts.scheme not in {"http", "https"} or parts.hostname is None:
        return
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        socket.create_connection((parts.hostname, port), timeout_s).close()
    except OSError as err:
        raise unreachable(uri, str(err)) from err
