"""`slipway export`: a version as a folder that scores without Slipway."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from contracts.names import PRODUCTION
from slipway import output
from slipway.commands.score import scored_version
from slipway.options import SERVE, JsonOption, ModelArgument

if TYPE_CHECKING:
    from contracts.edge_model import EdgeForm, EdgeModel

FORM_COLUMNS = ("form", "KB", "KB gzip", "us/row", "largest difference", "note")

app = typer.Typer()


@app.command(
    "export", rich_help_panel=SERVE, epilog="Example: slipway export loan --to edge exported/loan"
)
def export_command(
    model: ModelArgument,
    target: Annotated[Path, typer.Argument(help="A new or empty folder.", metavar="OUTPUT")],
    to: Annotated[
        Literal["edge"], typer.Option(help="edge: browsers, Node.js, devices with a C compiler.")
    ] = "edge",
    version: Annotated[str, typer.Option(help="Number of a version, or an alias.")] = PRODUCTION,
    json: JsonOption = False,
) -> None:
    """Write a version as files that score without Slipway: ONNX, C and JavaScript."""
    from training.edge_export.export import export_edge

    del to
    pointer, directory = scored_version(model, version)
    exported = export_edge(directory, pointer, target)
    if json:
        output.as_json(exported)
    else:
        _show_export(exported, target)


def _show_export(exported: "EdgeModel", target: Path) -> None:
    output.say(f"{exported.name} version {exported.version}: {target}", soft_wrap=True)
    output.table("Forms", FORM_COLUMNS, map(_form_row, exported.forms))


def _form_row(form: "EdgeForm") -> tuple[object, ...]:
    note = form.left_out or f"agrees on {form.rows:,} rows, with the class of each"
    time = "-" if form.microseconds_per_row is None else f"{form.microseconds_per_row:.3g}"
    difference = "-" if form.left_out else f"{form.max_difference:.1g}"
    sizes = f"{form.size_bytes / 1000:.1f}", f"{form.gzip_bytes / 1000:.1f}"
    return form.form, *sizes, time, difference, note
