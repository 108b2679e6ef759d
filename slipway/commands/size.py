"""`slipway size`: how many replicas a load needs."""

from typing import Annotated

import typer

from slipway import output
from slipway.durations import parse_latency
from slipway.options import OPERATE, JsonOption
from slipway.sizing import size

app = typer.Typer()


@app.command(
    "size", rich_help_panel=OPERATE, epilog="Example: slipway size --rate 20000 --p99 20ms"
)
def size_command(
    rate: Annotated[float, typer.Option(min=0.001, help="Requests per second, at the peak.")],
    p99: Annotated[str, typer.Option(help="Highest p99 inside the service: 20ms, 1s.")] = "20ms",
    cpu_us: Annotated[
        float,
        typer.Option(min=1, help="Processor microseconds per request; docs/deploy-size.md."),
    ] = 60.0,
    workers: Annotated[int, typer.Option(min=1, help="Workers per replica, one core each.")] = 1,
    spare: Annotated[int, typer.Option(min=0, help="Replicas that may be down.")] = 1,
    max_utilization: Annotated[
        float, typer.Option(min=0.05, max=0.95, help="Highest share of a core that is used.")
    ] = 0.7,
    json: JsonOption = False,
) -> None:
    """Say how many replicas answer a load in time, also while one of them is down."""
    sizing = size(
        rate,
        parse_latency(p99, "--p99"),
        cpu_us / 1_000_000,
        workers_per_replica=workers,
        spare=spare,
        max_utilization=max_utilization,
    )
    if json:
        output.as_json(sizing)
        return
    output.say(
        f"{sizing.replicas} replicas of {workers} worker{'s' if workers > 1 else ''}: "
        f"{sizing.utilization:.0%} of each core, p99 {1000 * sizing.p99_s:.2g} ms"
    )
    if spare:
        output.say(
            f"with {spare} down: {sizing.degraded_utilization:.0%} of each core, "
            f"p99 {1000 * sizing.degraded_p99_s:.2g} ms"
        )
