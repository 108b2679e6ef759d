"""What is wanted, what was measured, and whether the one reaches the other."""

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.serving.compare import Measurement
from slipway import output


@dataclass(frozen=True)
class Bar:
    """One thing that is wanted."""

    wanted: str
    measured: str
    met: bool


def at_least(what: str, least: float, got: float, unit: str = "") -> Bar:
    """A bar that is met from below."""
    return Bar(f"{what} >= {least:g}{unit}", f"{got:.3g}{unit}", got >= least)


def at_most(what: str, most: float, got: float, unit: str = "") -> Bar:
    """A bar that is met from above."""
    return Bar(f"{what} <= {most:g}{unit}", f"{got:.3g}{unit}", got <= most)


def print_bars(bars: Sequence[Bar]) -> None:
    """What is wanted, and whether it is so."""
    output.table(
        "Bars",
        ("met", "measured", "wanted"),
        [("yes" if b.met else "NO", b.measured, b.wanted) for b in bars],
    )


def speed_bars(medians: Sequence[Measurement]) -> list[Bar]:
    """The bars of the comparison, as far as their peers and scenarios were measured."""
    table = {(m.scenario, m.peer): m for m in medians}
    bars: list[Bar] = []
    for scenario, peer, least in (
        ("one-32", "fastapi", 100),
        ("one-32", "litserve", 20),
        ("one-32", "echo", 0.75),
        ("real-32", "echo", 0.8),
        ("forest-32", "fastapi", 60),
        ("batch-8", "fastapi", 30),
    ):
        us, them = table.get((scenario, "slipway")), table.get((scenario, peer))
        if us and them and them.requests_per_s:
            ratio = us.requests_per_s / them.requests_per_s
            bars.append(at_least(f"{scenario}: requests/s against {peer}", least, ratio, "x"))
    if us := table.get(("one-32", "slipway")):
        bars.append(at_most("one-32: p99 against p50", 3, us.p99_ms / us.p50_ms, "x"))
        if many := table.get(("one-128", "slipway")):
            ratio = many.requests_per_s / us.requests_per_s
            bars.append(at_least("requests/s at 128 connections against 32", 0.8, ratio, "x"))
        if real := table.get(("real-32", "slipway")):
            ratio = real.requests_per_s / us.requests_per_s
            bars.append(at_least("requests/s with real heads against constant", 0.85, ratio, "x"))
    real, floor = table.get(("real-32", "slipway")), table.get(("real-32", "nginx"))
    if real and floor:
        bars.append(at_most("real-32: CPU against nginx", 4, real.cpu_us / floor.cpu_us, "x"))
    if alone := table.get(("one-1", "slipway")):
        bars.append(at_most("one-1: p50", 0.4, alone.p50_ms, " ms"))
    if medians:
        bars.append(at_most("requests that failed", 0, sum(m.bad for m in medians)))
    return bars
