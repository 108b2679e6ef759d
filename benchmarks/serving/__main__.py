"""`python -m benchmarks.serving`: measure the service, and hold it to its bars."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.serving import cost, neighbours, overload, plot, real_traffic, result, start, stops
from benchmarks.serving.all_peers import PEERS
from benchmarks.serving.bar import print_bars, speed_bars
from benchmarks.serving.compare import (
    Field,
    Measurement,
    answer_sizes,
    chosen,
    measure,
    medians,
    setting_of,
)
from benchmarks.serving.machine import Machine, split_cores, this_machine
from benchmarks.serving.peer import Slipway
from benchmarks.serving.scenario import SCENARIOS
from benchmarks.serving.testbed import ROOT, prepare
from benchmarks.serving.wrk import check_wrk
from contracts.errors import PlatformError
from slipway import output

FOLDER = ROOT / "build" / "benchmarks"
ALONE = {
    "cost": cost.measure,
    "real": real_traffic.measure,
    "start": start.measure,
    "neighbours": neighbours.measure,
    "overload": overload.measure,
    "stops": stops.measure,
}
"""How we are measured without peers."""

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def run(
    rounds: Annotated[int, typer.Option(min=1, help="Rounds of the comparison.")] = 3,
    seconds: Annotated[int, typer.Option(min=1, help="Seconds of each measurement.")] = 5,
    patience: Annotated[int, typer.Option(min=0, help="Seconds to wait for calm cores.")] = 0,
    peers: Annotated[str, typer.Option(help="Only these, by commas.")] = "",
    scenario: Annotated[str, typer.Option(help="Only these, by commas.")] = "",
    cost: Annotated[bool, typer.Option(help="Of validation, metrics and traffic log.")] = False,
    real: Annotated[bool, typer.Option(help="Real heads: keys, splits, traces, workers.")] = False,
    start: Annotated[bool, typer.Option(help="Start, and memory over time.")] = False,
    neighbours: Annotated[bool, typer.Option(help="Good clients next to bad ones.")] = False,
    overload: Annotated[bool, typer.Option(help="Overload.")] = False,
    stops: Annotated[bool, typer.Option(help="Stops under load.")] = False,
) -> None:
    """Compare with the peers, or with options measure ourselves in other ways.

    Prints what was measured, and writes it below benchmarks/serving/results.
    """
    check_wrk()
    machine = this_machine()
    say(f"{machine.cpu}, {machine.n_cores} cores, Python {machine.python}")
    asked = (cost, real, start, neighbours, overload, stops)
    kinds = [name for name, is_asked in zip(ALONE, asked, strict=True) if is_asked]
    place, cores = prepare(FOLDER), split_cores()
    field = Field(place, FOLDER, cores, answer_sizes(place, FOLDER, cores), seconds, patience)
    for kind in kinds:
        alone(kind, field, machine)
    if not kinds:
        compare(field, machine, rounds, words(peers), words(scenario))


def alone(kind: str, field: Field, machine: Machine) -> None:
    """Measure ourselves in one way, print its bars and write its figures."""
    us = Slipway()
    setting = setting_of(field, us, "loan", Path(sys.executable))
    figures, bars = ALONE[kind](field, us, setting)
    print_bars(bars)
    path = result.write(kind, figures, bars, machine, {"seconds": field.seconds})
    say(f"written to {path.relative_to(ROOT)}")


def compare(
    field: Field, machine: Machine, rounds: int, peers: list[str], scenarios: list[str]
) -> None:
    """Measure ourselves and the peers; print a table, and write JSON and a picture."""
    known(peers, [p.name for p in PEERS], "--peers")
    known(scenarios, [s.name for s in SCENARIOS], "--scenario")
    wanted = [s for s in SCENARIOS if not scenarios or s.name in scenarios]
    found = measure(field, chosen(peers), wanted, rounds, say)
    middle = medians(found)
    bars = speed_bars(middle)
    options = {
        "rounds": rounds,
        "seconds": field.seconds,
        "patience_s": field.patience_s,
        "cores": field.cores,
    }
    figures = {
        "peers": {p.name: p.about for p in chosen(peers)},
        "medians": middle,
        "rounds": found,
    }
    path = result.write("compare", figures, bars, machine, options)
    plot.draw(
        middle,
        wanted[0].name if len(wanted) == 1 else "one-32",
        "One-row loan requests, 32 connections, one core a server",
        path.with_suffix(".svg"),
    )
    for one in wanted:
        print_scenario(f"{one.name}: {one.about}", [m for m in middle if m.scenario == one.name])
    print_bars(bars)
    say(f"written to {path.relative_to(ROOT)}")


def print_scenario(title: str, middle: list[Measurement]) -> None:
    """A table of medians; `ours` says how many times as many requests we answer."""
    us = next((m.requests_per_s for m in middle if m.peer == "slipway"), None)
    output.table(
        title,
        ("peer", "requests/s", "ours", "p50 ms", "p99 ms", "CPU us", "MB", "bad", "others %"),
        [
            (
                m.peer,
                round(m.requests_per_s),
                us / m.requests_per_s if us and m.requests_per_s else None,
                m.p50_ms,
                m.p99_ms,
                round(m.cpu_us),
                round(m.peak_mb),
                m.bad,
                round(100 * m.others),
            )
            for m in middle
        ],
    )


def say(line: str) -> None:
    """Print a line, however long."""
    output.say(line, soft_wrap=True)


def words(listed: str) -> list[str]:
    """The words between commas."""
    return [word.strip() for word in listed.split(",") if word.strip()]


def known(given: list[str], names: list[str], option: str) -> None:
    """Refuse a word that is none of the names."""
    for word in given:
        if word not in names:
            raise PlatformError(
                f"{option}: expected some of {', '.join(names)}, got {word!r}",
                remedy="correct the option",
            )


def main() -> None:
    """Run, and tell an error in its parts."""
    try:
        app()
    except PlatformError as err:
        sys.stderr.write(f"error: {err}\n")
        sys.exit(err.exit_code)


if __name__ == "__main__":
    main()
