"""The metrics of scoring processes: how many there are, and why others were given up."""

import threading
from collections import Counter

from services.metrics import Metrics
from services.scoring_process.pool import ScoringPool


def observe_pool(pool: ScoringPool, metrics: Metrics, model: str, variant: str) -> None:
    """Keep the metrics in line with a pool from now on."""
    lock = threading.Lock()
    counted: Counter[str] = Counter()
    alive = metrics.scoring_processes.labels(model, variant)

    def update() -> None:
        with lock:
            alive.set(pool.n_alive)
            for reason, n_ends in list(pool.ends.items()):
                metrics.scoring_process_ends.labels(model, reason).inc(n_ends - counted[reason])
                counted[reason] = n_ends

    pool.on_change = update
    update()
