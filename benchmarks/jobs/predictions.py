"""The latency of predictions without jobs and while jobs run, in turns, on a running service.

    python -m benchmarks.jobs.predictions --url http://127.0.0.1:3000 --model loan --seconds 5

One client asks for one row after the other, without a pause, so a core may stay idle for the
worker, as on a machine that is not at its limit. The turns alternate, so that what else the machine
does meets all alike. The limit of the machine is a process that only spins, at the priority of the
worker: what predictions lose next to it, no worker can give back.
"""

import argparse
import http.client
import json
import statistics
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from multiprocessing import get_context
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from services.process_priority import LOWEST_NICENESS, lower_priority

TURNS = 3
N_JOBS, JOB_ROWS = 20, 40_000


class Client:
    """A connection to a service."""

    def __init__(self, url: str, model: str) -> None:
        parts = urlsplit(url)
        self.connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=60)
        self.model = model
        document = self.ask("GET", "/docs.json")
        self.row = document["components"]["schemas"][f"{model.title()}Row"]["examples"][0]

    def ask(self, method: str, path: str, body: object = None) -> Any:
        """The parsed answer."""
        data = None if body is None else json.dumps(body)
        self.connection.request(method, path, data, {"content-type": "application/json"})
        return json.loads(self.connection.getresponse().read())

    def latencies_ms(self, seconds: float) -> list[float]:
        """The latency of each prediction of a while."""
        found = []
        end = time.perf_counter() + seconds
        path = f"/models/{self.model}/predict"
        while (began := time.perf_counter()) < end:
            self.ask("POST", path, self.row)
            found.append((time.perf_counter() - began) * 1e3)
        return found

    def start_jobs(self) -> list[str]:
        """Submit jobs and wait until the first is being scored; their ids."""
        body = {"rows": [self.row] * JOB_ROWS}
        path = f"/models/{self.model}/jobs"
        ids = [self.ask("POST", path, body)["id"] for _ in range(N_JOBS)]
        while not self.ask("GET", f"/jobs/{ids[0]}")["rows_done"]:
            time.sleep(0.05)
        return ids


def spin() -> None:
    """Use a core that nobody else wants."""
    lower_priority(LOWEST_NICENESS)
    while True:
        pass


@contextmanager
def spinning() -> Iterator[None]:
    """With a process that spins."""
    process = get_context("spawn").Process(target=spin, daemon=True)
    process.start()
    time.sleep(1)
    try:
        yield
    finally:
        process.terminate()
        process.join()


def p99(values: list[float]) -> float:
    """The 99th percentile."""
    return float(np.percentile(values, 99))


def main() -> None:
    """Print the p99 of each turn in ms, and the ratios of their medians, as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", default="http://127.0.0.1:3000")
    parser.add_argument("--model", required=True)
    parser.add_argument("--seconds", type=float, default=5.0)
    options = parser.parse_args()
    client = Client(options.url, options.model)
    alone, limit, beside = [], [], []
    with closing(client.connection):
        client.latencies_ms(1)
        for _ in range(TURNS):
            alone.append(p99(client.latencies_ms(options.seconds)))
            with spinning():
                limit.append(p99(client.latencies_ms(options.seconds)))
            jobs = client.start_jobs()
            beside.append(p99(client.latencies_ms(options.seconds)))
            for job_id in jobs:
                client.ask("DELETE", f"/jobs/{job_id}")
    report = {
        "p99_ms": alone,
        "p99_ms_with_jobs": beside,
        "p99_ms_with_spinning": limit,
        "ratio": round(statistics.median(beside) / statistics.median(alone), 2),
        "ratio_with_spinning": round(statistics.median(limit) / statistics.median(alone), 2),
    }
    print(json.dumps(report))  # noqa: T201 - the result of the command


if __name__ == "__main__":
    main()
