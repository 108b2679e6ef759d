"""How many replicas a load needs: a queueing model, without a running service.

A worker is one event loop on one core, so requests queue for it one after the other. With Poisson
arrivals and exponential service times it is the queue M/M/1 (Kleinrock, Queueing Systems I, 1975,
section 3.2): its time in the system is exponential with the rate `mu - lambda`. Batches make the
mean service time shorter under load and a load balancer that looks for the least connections makes
the queues more equal, so both errors are on the safe side.
"""

import math
from dataclasses import dataclass

from contracts.errors import InvalidUsage

PERCENTILE = 0.99


@dataclass(frozen=True)
class Sizing:
    """What a load needs. Times are in seconds, utilizations shares of a core from 0 to 1."""

    workers: int
    """Workers that carry the load; each needs a core."""
    replicas: int
    """Replicas with their workers, and the spare ones."""
    utilization: float
    """Of each worker, with every replica up."""
    p99_s: float
    """With every replica up."""
    degraded_utilization: float
    """Of each worker while the spare replicas are down."""
    degraded_p99_s: float
    """While the spare replicas are down."""


def size(
    rate: float,
    p99_s: float,
    cpu_s: float,
    *,
    workers_per_replica: int = 1,
    spare: int = 1,
    max_utilization: float = 0.7,
) -> Sizing:
    """The replicas that answer `rate` requests per second with a p99 of at most `p99_s`.

    `cpu_s`: processor seconds per request. `spare`: replicas that may be down. `max_utilization`:
    of a worker while they are down, so that bursts and other work on the machine fit in.

    Raises:
        InvalidUsage: no number of replicas is fast enough, since one request alone takes longer.

    """
    alone = time_in_system_s(0.0, cpu_s)
    if alone > p99_s:
        raise InvalidUsage(
            f"--p99: expected at least {1000 * alone:.3g} ms, the p99 of a request that waits for "
            f"no other, got {1000 * p99_s:.3g} ms",
            remedy="allow more time, or lower the cost of a request (--cpu-us)",
        )
    highest = min(max_utilization / cpu_s, 1 / cpu_s + math.log(1 - PERCENTILE) / p99_s)
    workers = math.ceil(rate / highest) if highest > 0 else 0
    if highest <= 0:
        raise InvalidUsage(
            f"--p99: expected more than {1000 * alone:.3g} ms, got {1000 * p99_s:.3g} ms",
            remedy="a worker that is at this limit can take no load at all",
        )
    needed = max(1, math.ceil(workers / workers_per_replica))
    all_workers = (needed + spare) * workers_per_replica
    return Sizing(
        workers=workers,
        replicas=needed + spare,
        utilization=rate / all_workers * cpu_s,
        p99_s=time_in_system_s(rate / all_workers, cpu_s),
        degraded_utilization=rate / (needed * workers_per_replica) * cpu_s,
        degraded_p99_s=time_in_system_s(rate / (needed * workers_per_replica), cpu_s),
    )


def time_in_system_s(rate: float, cpu_s: float, percentile: float = PERCENTILE) -> float:
    """A percentile of waiting plus service at a worker with `rate` requests per second.

    >>> round(time_in_system_s(5_000, 0.0001), 6)  # ln(100) / (10,000 - 5,000)
    0.000921
    """
    return -math.log(1 - percentile) / (1 / cpu_s - rate)
