"""Options and arguments that several commands have, and the groups of commands in the help."""

from typing import Annotated

import typer

from slipway.completion import complete_model

TRAIN = "Train and promote"
SERVE = "Serve"
MONITOR = "Monitor and improve"
OPERATE = "Operate"
TASK_EXAMPLES = {
    TRAIN: "slipway train loan && slipway promote loan",
    SERVE: "slipway serve --port 3001",
    MONITOR: "slipway monitor loan --last 24h",
    OPERATE: "slipway doctor --repair",
}
"""An example for each group of commands."""

LOCAL_SERVICE = "http://127.0.0.1:3000"

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of text, errors too.")]
ModelArgument = Annotated[
    str, typer.Argument(help="Name of a model.", metavar="MODEL", autocompletion=complete_model)
]
BecauseOption = Annotated[str, typer.Option(help="Reason, for the history.")]
UrlOption = Annotated[str, typer.Option(help="URL of the service.")]
KeyOption = Annotated[str, typer.Option(help="API key, if the service requires one.")]
LastOption = Annotated[str, typer.Option(help="Length of the window before --end: 30m, 24h, 7d.")]
StartOption = Annotated[str, typer.Option(help="Start of the window, RFC 3339; overrides --last.")]
ScoredOption = Annotated[
    str, typer.Option(help="Read an output of `slipway score` instead of the traffic log.")
]
EndOption = Annotated[str, typer.Option(help="End of the window, RFC 3339; default: now.")]
