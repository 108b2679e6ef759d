"""`slipway serve`, `pull`, `follow` and `worker`: the Production models on this machine."""

from typing import Annotated

import typer

from contracts.printable import printable
from slipway import context, output
from slipway.options import SERVE, JsonOption
from slipway.progress import working
from slipway.results import ServiceAddress

app = typer.Typer()


@app.command(
    "serve", rich_help_panel=SERVE, epilog="Example: slipway serve --port 3001 --workers 2"
)
def serve_command(
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 3000,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    workers: Annotated[int, typer.Option(help="Number of worker processes.")] = 1,
    json: JsonOption = False,
) -> None:
    """Pull the Production models and serve them: `bentoml serve` on a port that is free."""
    from slipway.service_process import become_server

    def announce(url: str) -> None:
        if json:
            output.as_json(ServiceAddress(url, workers))
        else:
            output.say(f"serving on {url}  (docs at /, Ctrl+C stops it)")

    become_server(host, port, workers, announce)


@app.command("pull", rich_help_panel=SERVE, epilog="Example: slipway pull && bentoml build")
def pull_command(json: JsonOption = False) -> None:
    """Fetch and verify the Production models, for the service and for `bentoml build`."""
    from registry.pull import pull_all
    from registry.trial import service_trial

    trial = service_trial(context.registry_settings().trial_timeout_s)
    with working("pulling the Production models"):
        result = pull_all(context.store(), context.layout(), trial)
    if json:
        output.as_json(result)
        return
    for pointer in result.pulled:
        output.say(f"{pointer.name} version {pointer.version}  {pointer.bento_tag}")
    for refusal in result.refused:
        output.say(printable(refusal), label="refused", style="red")


@app.command("follow", rich_help_panel=SERVE, epilog="Example: slipway follow")
def follow_command(json: JsonOption = False) -> None:
    """Follow Production: update the served versions whenever an alias moves, until Ctrl+C.

    `bentoml serve` in a checkout starts this by itself. Log lines go to standard error; `--json`
    changes errors only.
    """
    del json
    from registry.__main__ import follow

    follow(context.registry_settings(), None)


@app.command("worker", rich_help_panel=SERVE, epilog="Example: slipway worker")
def worker_command(json: JsonOption = False) -> None:
    """Score the jobs that the service has accepted, until Ctrl+C.

    `bentoml serve` starts a worker by itself (SLIPWAY_SERVICE_JOBS_WORKERS). Log lines go to
    standard error; `--json` changes errors only.
    """
    del json
    from services.job_worker import run_worker

    run_worker(None)
