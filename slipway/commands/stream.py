"""`slipway stream`: a model answers the messages of a stream."""

import os
from typing import Annotated

import typer

from contracts.settings import load_settings
from slipway.options import SERVE, JsonOption, ModelArgument

app = typer.Typer()


@app.command(
    "stream",
    rich_help_panel=SERVE,
    epilog="Example: slipway stream loan --from redis://127.0.0.1:6379/requests "
    "--to redis://127.0.0.1:6379/predictions",
)
def stream_command(
    model: ModelArgument,
    source: Annotated[
        str,
        typer.Option("--from", help="Stream of requests: redis://HOST/STREAM, kafka://HOST/TOPIC."),
    ],
    sink: Annotated[str, typer.Option("--to", help="Stream of predictions, like --from.")],
    dead_letters: Annotated[
        str,
        typer.Option(
            "--dead-letters",
            help="Stream of the messages that cannot be scored; default: FROM.dead-letters.",
        ),
    ] = "",
    group: Annotated[
        str, typer.Option(help="Consumer group: its workers share the messages.")
    ] = "",
    batch: Annotated[int, typer.Option(help="Most messages that a worker has in hand.")] = 500,
    metrics_port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port of the Prometheus metrics; 0 for none.")
    ] = 0,
    metrics_host: Annotated[
        str, typer.Option(help="Address of the Prometheus metrics.")
    ] = "127.0.0.1",
    json: JsonOption = False,
) -> None:
    """Answer the messages of a stream with the version in production, until SIGTERM or Ctrl+C.

    Start it several times to share the messages. Log lines go to standard error; `--json`
    changes errors only.
    """
    del json
    from contracts.names import check_model_name
    from contracts.printable import log_to_stderr
    from services.settings import ServiceSettings
    from services.streams.address import parse_address
    from services.streams.settings import StreamSettings
    from services.streams.stream_process import StreamSpec, run_stream

    service_settings = load_settings(ServiceSettings, os.environ)
    stream_settings = load_settings(StreamSettings, os.environ)
    wanted = parse_address(source, "--from")
    rejected = wanted.sibling(f"{wanted.name}.dead-letters")
    spec = StreamSpec(
        check_model_name(model),
        wanted,
        parse_address(sink, "--to"),
        parse_address(dead_letters, "--dead-letters") if dead_letters else rejected,
        group or f"slipway-{model}",
        batch,
        metrics_port,
        metrics_host,
    )
    log_to_stderr("%(asctime)s [%(levelname)s] [stream] %(message)s")
    run_stream(spec, service_settings, stream_settings)
