"""`python -m benchmarks.serving.clients`: what a request of each real client costs."""

import sys
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from benchmarks.serving import result
from benchmarks.serving.bar import at_most, print_bars
from benchmarks.serving.clients.catalog import Target
from benchmarks.serving.clients.cpu import Cost, costs
from benchmarks.serving.machine import this_machine
from benchmarks.serving.peer import Setting, Slipway
from benchmarks.serving.server import HOST
from benchmarks.serving.testbed import ROOT, prepare
from benchmarks.serving.wrk import check_wrk
from slipway import output

FOLDER = ROOT / "build" / "benchmarks"
MODEL = "loan"
MAX_RATIO = 1.5


def main(n: Annotated[int, typer.Option(min=1, help="Requests per client.")] = 1000) -> None:
    """Send one row again and again by each client, and compare with wrk."""
    check_wrk()
    machine, place = this_machine(), prepare(FOLDER)
    setting = Setting(place, MODEL, Path(sys.executable), (0, 0), FOLDER / "run" / "clients")
    body = setting.folder / "row.json"
    body.parent.mkdir(parents=True, exist_ok=True)
    body.write_bytes(msgspec.json.encode(place.works[MODEL].rows[0]))
    with Slipway().server(setting, "") as server:
        target = Target(f"http://{HOST}:{server.port}", MODEL, n, body)
        found = list(costs(server.process.pid, target))
    report(found)
    bars = [
        at_most(f"{cost.client}: CPU against wrk", MAX_RATIO, cost.ratio, "x") for cost in found
    ]
    print_bars(bars)
    figures = {"clients": [{**msgspec.to_builtins(c), "ratio": c.ratio} for c in found]}
    path = result.write("clients", figures, bars, machine, {"n": n})
    output.say(f"written to {path.relative_to(ROOT)}")


def report(found: list[Cost]) -> None:
    """Print a line per client."""
    output.table(
        "CPU of the service per request",
        ("client", "us", "wrk us", "ratio", "requests"),
        [(c.client, c.cpu_us, c.wrk_us, round(c.ratio, 2), c.about) for c in found],
    )


if __name__ == "__main__":
    typer.run(main)
