"""Swaps under load: `python -m benchmarks.lifecycle.swaps`.

Plain `bentoml serve` follows its own MLflow. Another process moves the alias repeatedly to a
version that was never here and back to version 1, while 32 clients send requests and compare
every answer with the fitted pipeline of the version that it names. In between, the clients send
requests while nothing is swapped; then wrk does both at full speed.
"""

import random
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.lifecycle.mlflow_ui_user import hand
from benchmarks.lifecycle.swap_load import (
    AFTER_S,
    CLIENTS,
    MODEL,
    Seen,
    Swap,
    calm,
    forget_traffic,
    make_ground,
    server_of,
    swapped,
    with_wrk,
)
from benchmarks.serving import result
from benchmarks.serving.bar import Bar, at_most, print_bars
from benchmarks.serving.client import percentile_ms, run_client
from benchmarks.serving.machine import Cores, split_cores, this_machine
from benchmarks.serving.testbed import ROOT
from benchmarks.serving.wrk import Load, check_wrk
from slipway import output

CALM_BLOCKS = 10
PROMOTION, ROLLBACK = "promotion of a new version", "rollback to version 1"

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


def within(seen: Seen, swaps: Sequence[Swap]) -> list[float]:
    """What the requests took that were answered while a version was brought and exchanged."""
    spans = [(s.moved, s.moved + s.first_s + AFTER_S) for s in swaps]
    found, place = [], 0
    for at, took in zip(seen.at, seen.took, strict=True):
        while place < len(spans) and at > spans[place][1]:
            place += 1
        if place < len(spans) and at >= spans[place][0]:
            found.append(took)
    return found


def figures_of(
    calm_seen: list[Seen], seen: list[Seen], swaps: list[list[Swap]], loads: list[Load]
) -> tuple[dict[str, object], list[Bar]]:
    """What was measured, and the bars."""
    calm_took = [took for one in calm_seen for took in one.took]
    took = [t for one, listed in zip(seen, swaps, strict=True) for t in within(one, listed)]
    failed = [text for one in (*calm_seen, *seen) for text in one.failed]
    mixed = [text for one in (*calm_seen, *seen) for text in one.mixed]
    every = [swap for listed in swaps for swap in listed]
    times = {
        PROMOTION: [s.first_s for s in every if s.to != 1],
        ROLLBACK: [s.first_s for s in every if s.to == 1],
    }
    p99s = {"calm": percentile_ms(calm_took, 0.99), "swapping": percentile_ms(took, 0.99)}
    figures: dict[str, object] = {
        "swaps": len(every),
        "requests": {"calm": len(calm_took), "swapping": len(took)},
        "p50_ms": {"calm": percentile_ms(calm_took, 0.5), "swapping": percentile_ms(took, 0.5)},
        "p99_ms": p99s,
        "p999_ms": {
            "calm": percentile_ms(calm_took, 0.999),
            "swapping": percentile_ms(took, 0.999),
        },
        "largest_ms": {"calm": 1e3 * max(calm_took), "swapping": 1e3 * max(took)},
        "failed": failed[:20],
        "mixed": mixed[:20],
        "first_answer_s": {name: sorted(found) for name, found in times.items()},
        "old_after_new_s": max(s.last_old_s - s.first_s for s in every),
        "wrk": dict(zip(("calm", "swapping"), loads, strict=False)),
    }
    n = len(every)
    bars = [
        at_most(f"requests that failed in {n} swaps", 0, len(failed)),
        at_most("answers that mix two versions", 0, len(mixed)),
        at_most("p99 while swapping against calm", 2, p99s["swapping"] / p99s["calm"], "x"),
        *(
            at_most(f"{name}: alias moved to first answer, the longest", 5, max(found), " s")
            for name, found in times.items()
        ),
    ]
    if loads:
        before, during = loads
        bars += [
            at_most("wrk: requests that failed", 0, before.bad + during.bad),
            at_most("wrk: p99 while swapping against calm", 2, during.p99_ms / before.p99_ms, "x"),
        ]
    return figures, bars


def print_figures(figures: dict[str, Any]) -> None:
    """Two tables: what clients waited, and what a swap took."""
    kinds = ("calm", "swapping")
    keys = ("p50_ms", "p99_ms", "p999_ms", "largest_ms")
    output.table(
        f"{figures['swaps']} swaps, {CLIENTS} connections, every answer checked",
        ("", "requests", "p50 ms", "p99 ms", "p99.9 ms", "largest ms"),
        [
            (kind, figures["requests"][kind], *(figures[key][kind] for key in keys))
            for kind in kinds
        ],
    )
    if figures["wrk"]:
        output.table(
            "wrk, as fast as the server can",
            ("", "requests/s", "p50 ms", "p99 ms", "largest ms", "bad"),
            [
                (k, round(w.requests_per_s), w.p50_ms, w.p99_ms, w.max_ms, w.bad)
                for k, w in figures["wrk"].items()
            ],
        )
    shares = (0.0, 0.5, 0.9, 0.99, 1.0)
    output.table(
        "Seconds from the alias being moved to the first answer",
        ("", "least", "p50", "p90", "p99", "most"),
        [
            (name, *(percentile_ms(found, share) / 1e3 for share in shares))
            for name, found in figures["first_answer_s"].items()
        ],
    )


@app.command()
def run(
    swaps: Annotated[int, typer.Option(min=2, help="Swaps under load.")] = 100,
    calm_seconds: Annotated[float, typer.Option(help="Seconds without swaps.")] = 150.0,
    wrk_swaps: Annotated[int, typer.Option(min=0, help="Swaps under wrk.")] = 12,
    workers: Annotated[int, typer.Option(min=1, help="Worker processes.")] = 1,
    seed: Annotated[int, typer.Option(help="Seed of the pauses.")] = 0,
    split: Annotated[bool, typer.Option(help="A core for the server, one for clients.")] = True,
) -> None:
    """Swap under load; exit with 1 if a bar is missed."""
    check_wrk()
    machine, cores = this_machine(), split_cores() if split else Cores("", "")
    targets = [1 if place % 2 else 2 + place // 2 for place in range(swaps + wrk_swaps)]
    ground = make_ground(ROOT / "build" / "benchmarks" / "swaps", max(targets))
    server = server_of(ground, cores, workers)
    pauses = random.Random(seed)
    calm_seen, seen, done, loads = list[Seen](), list[Seen](), list[list[Swap]](), list[Load]()
    size = -(-swaps // CALM_BLOCKS)
    starts = range(0, swaps, size)
    with server, hand(ground.uri, MODEL) as mover:
        for start in starts:
            quiet = calm(server.port, ground, calm_seconds / len(starts))
            calm_seen.append(run_client(quiet, cores.client))
            block = targets[start : min(start + size, swaps)]
            swapping = swapped(server.port, ground, mover, block, pauses)
            found, listed = run_client(swapping, cores.client)
            seen.append(found)
            done.append(listed)
            forget_traffic(ground)
        if wrk_swaps:
            loads = with_wrk(ground, server, cores, mover, targets[swaps:])
    figures, bars = figures_of(calm_seen, seen, done, loads)
    print_figures(figures)
    print_bars(bars)
    options = {
        "swaps": swaps,
        "calm_seconds": calm_seconds,
        "workers": workers,
        "seed": seed,
        "cores": cores,
    }
    results = Path(__file__).with_name("results")
    path = result.write("swaps", figures, bars, machine, options, results)
    output.say(f"written to {path.relative_to(ROOT)}", soft_wrap=True)
    sys.exit(0 if all(bar.met for bar in bars) else 1)


def main() -> None:
    """Run the command."""
    app()


if __name__ == "__main__":
    main()
