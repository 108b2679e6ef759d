"""`slipway new`: a recipe drafted from a file of data."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from contracts.errors import InvalidUsage
from slipway import output
from slipway.options import TRAIN, JsonOption
from slipway.results import DraftedRecipe

if TYPE_CHECKING:
    from training.drafting.draft import Draft

app = typer.Typer()

TASKS = ("binary", "multiclass", "regression")


@app.command(
    "new",
    rich_help_panel=TRAIN,
    epilog="Example: slipway new churn data/churn.csv --target churned",
)
def new_command(
    name: Annotated[str, typer.Argument(help="Name of the new model.", metavar="NAME")],
    data: Annotated[Path, typer.Argument(help="CSV or Parquet file.", metavar="FILE")],
    target: Annotated[str, typer.Option(help="Column that the model predicts.")],
    task: Annotated[
        str, typer.Option(help="binary, multiclass or regression; default: by the target.")
    ] = "",
    time: Annotated[str, typer.Option(help="Column of times: hold out the newest rows.")] = "",
    group: Annotated[str, typer.Option(help="Column of groups: hold out whole groups.")] = "",
    force: Annotated[bool, typer.Option("--force", help="Replace a recipe of that name.")] = False,
    json: JsonOption = False,
) -> None:
    """Draft a recipe from a file of data, and say every doubt about it."""
    from contracts.names import check_model_name
    from training.drafting.draft import draft_of
    from training.drafting.file import write_recipe
    from training.notes import collected_notes

    check_model_name(name)
    if task not in {"", *TASKS}:
        raise InvalidUsage(
            f"--task: expected {', '.join(TASKS)}, got {task!r}", remedy="or leave it out"
        )
    if time and group:
        raise InvalidUsage("--time, --group: expected at most one, got both", remedy="choose one")
    with collected_notes():
        draft = draft_of(data, target, task or None, time, group)  # type: ignore[arg-type]  # one of `TASKS`
    path = write_recipe(name, draft, replace=force)
    drafted = _drafted(path, draft)
    if json:
        output.as_json(drafted)
        return
    for doubt in drafted.doubts:
        output.warn(f"doubt: {doubt}")
    output.say(
        f"{path}: {drafted.task} of {target!r}, {drafted.rows:,} rows, "
        f"{len(drafted.features)} features",
        soft_wrap=True,
    )
    output.say(f"next: slipway train {name} --dry-run, then slipway train {name}")


def _drafted(path: Path, draft: "Draft") -> DraftedRecipe:
    return DraftedRecipe(
        path=str(path),
        task=draft.target.task,
        rows=draft.n_rows,
        features=[column.name for column in draft.columns if column.feature],
        left_out={c.name: c.left_out for c in draft.columns if c.left_out},
        time=draft.time,
        group=draft.group,
        doubts=draft.all_doubts,
    )
