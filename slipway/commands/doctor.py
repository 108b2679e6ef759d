"""`slipway doctor`: what killed processes left behind."""

from typing import Annotated

import typer

from contracts.printable import printable
from slipway import context, output
from slipway.options import OPERATE, JsonOption
from slipway.progress import working

app = typer.Typer()


@app.command("doctor", rich_help_panel=OPERATE, epilog="Example: slipway doctor --repair")
def doctor_command(
    repair: Annotated[bool, typer.Option(help="Clean up what was found.")] = False,
    json: JsonOption = False,
) -> None:
    """Find what killed processes left behind, and with --repair clean it up."""
    from registry import doctor

    store, layout = context.store(), context.layout()
    with working("looking for what was left behind"):
        ailments = doctor.examine(store, layout)
        repaired = doctor.repair(store, layout, ailments) if repair else []
    if json:
        output.as_json({"ailments": ailments, "repaired": repaired})
        return
    for ailment in ailments:
        text = printable(f"{ailment.subject}: {ailment.detail}")
        output.say(text, label=ailment.kind, style="yellow")
    for action in repaired:
        output.say(printable(action), label="repaired", style="green")
    if not ailments:
        output.say("healthy: nothing is left behind")
