"""What a client of jobs does."""

import json
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from tests.services.http_client import JSON, Service, ask

REGIONS = ["north", "south", "east", None, "moon"]


def people(n: int, seed: int = 0) -> list[dict[str, Any]]:
    """Rows for `tiny`: some are flagged, some clipped."""
    rng = np.random.default_rng(seed)
    return [
        {
            "region": REGIONS[int(rng.integers(len(REGIONS)))],
            "age": float(rng.integers(18, 90)),
            "income": float(rng.lognormal(10.5, 2)),
            "lines": int(rng.poisson(4)),
            "owner": bool(rng.random() < 0.4),
            "work": "yes" if rng.random() < 0.8 else "no",
        }
        for _ in range(n)
    ]


def rows_body(rows: Sequence[object]) -> bytes:
    return json.dumps({"rows": list(rows)}).encode()


def submit(
    service: Service, body: bytes, model: str = "tiny", headers: dict[str, str] = JSON
) -> dict[str, Any]:
    """An accepted job."""
    status, job, answered = ask(service, f"/models/{model}/jobs", body, headers=headers)
    assert status == 202, job
    assert answered["location"] == f"/jobs/{job['id']}"
    return dict(job)


def status_of(service: Service, job_id: str, headers: dict[str, str] = JSON) -> dict[str, Any]:
    status, job, _ = ask(service, f"/jobs/{job_id}", None, "GET", headers)
    assert status == 200, job
    return dict(job)


def ended(
    service: Service, job_id: str, headers: dict[str, str] = JSON, seconds: float = 60
) -> dict[str, Any]:
    """A job once it has ended."""
    until = time.monotonic() + seconds
    while True:
        job = status_of(service, job_id, headers)
        if job["state"] not in {"queued", "running"}:
            return job
        assert time.monotonic() < until, job
        time.sleep(0.05)


def all_results(service: Service, job_id: str, limit: int = 1000) -> list[dict[str, Any]]:
    """Every result of a job, page after page."""
    found: list[dict[str, Any]] = []
    cursor: str | None = "0"
    while cursor is not None:
        path = f"/jobs/{job_id}/results?cursor={cursor}&limit={limit}"
        status, page, _ = ask(service, path, None, "GET")
        assert status == 200, page
        found += page["results"]
        cursor = page["next"]
    return found
