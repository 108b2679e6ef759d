"""Options and arguments that several commands have, and the groups of commands in the help."""

from typing import Annotated

import typer

TRAIN = "Train and promote"
SERVE = "Serve"
MONITOR = "Monitor and improve"
OPERATE = "Operate"

LOCAL_SERVICE = "http://127.0.0.1:3000"

Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of text, errors too.")]
Model = Annotated[str, typer.Argument(help="Name of a model.", metavar="MODEL")]
Because = Annotated[str, typer.Option(help="Reason, for the history.")]
Url = Annotated[str, typer.Option(help="URL of the service.")]
Key = Annotated[str, typer.Option(help="API key, if the service requires one.")]
Last = Annotated[str, typer.Option(help="Length of the window: 30m, 24h, 7d.")]
Start = Annotated[str, typer.Option(help="Start of the window, RFC 3339; overrides --last.")]
End = Annotated[str, typer.Option(help="End of the window, RFC 3339; default: now.")]
