"""A service with two keys, strict limits and short leases."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from services.auth.keys import create_key
from tests.services.conftest import Service, serving

MAX_OPEN = 3


@dataclass(frozen=True)
class Shared:
    """A service and the headers of two clients with a key each."""

    service: Service
    ada: dict[str, str]
    bob: dict[str, str]
    keys_file: Path
    inputs: Path


@pytest.fixture(scope="module")
def shared(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shared]:
    folder = tmp_path_factory.mktemp("jobs")
    keys_file = folder / "keys.json"
    ada, bob = (create_key(keys_file, name, ("predict",))[1] for name in ("ada", "bob"))
    (folder / "inputs").mkdir()
    settings = {
        "SLIPWAY_SERVICE_JOBS_INPUT_FOLDER": str(folder / "inputs"),
        "SLIPWAY_SERVICE_KEYS": "required",
        "SLIPWAY_SERVICE_KEYS_FILE": str(keys_file),
        "SLIPWAY_SERVICE_JOBS_OPEN": str(MAX_OPEN),
        "SLIPWAY_SERVICE_JOBS_LEASE_S": "1",
        "SLIPWAY_SERVICE_JOBS_CHUNK_ROWS": "200",
        "SLIPWAY_SERVICE_JOBS_ROWS": "100000",
        "SLIPWAY_SERVICE_JOBS_BODY_BYTES": "20000000",
        "SLIPWAY_SERVICE_JOBS_RETENTION_S": "3600",
    }
    with serving(folder, models, **settings) as running:
        yield Shared(running, _headers(ada), _headers(bob), keys_file, folder / "inputs")


def _headers(key: str) -> dict[str, str]:
    return {"content-type": "application/json", "x-api-key": key}
