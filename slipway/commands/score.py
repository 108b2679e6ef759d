"""`slipway score`: files in, predictions out."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from contracts.errors import NotRegistered
from contracts.names import PRODUCTION
from slipway import context, output
from slipway.options import SERVE, JsonOption, ModelArgument
from slipway.shares import parse_share

if TYPE_CHECKING:
    from contracts.manifest import Pointer
    from contracts.scored_output import ScoredOutput

FormatOption = Annotated[
    Literal["parquet", "csv", "jsonl"] | None,
    typer.Option("--format", help="Format of the predictions; default: Parquet."),
]

app = typer.Typer()


@app.command(
    "score",
    rich_help_panel=SERVE,
    epilog="Example: slipway score loan customers/ scored/ --keep id",
)
def score_command(
    model: ModelArgument,
    source: Annotated[
        str,
        typer.Argument(
            help="Parquet, CSV or JSON lines: a file, a folder, or s3://bucket/path.",
            metavar="INPUT",
        ),
    ],
    target: Annotated[
        str,
        typer.Argument(
            help="A folder, s3://bucket/path, or for one file of input a file.", metavar="OUTPUT"
        ),
    ],
    version: Annotated[str, typer.Option(help="Number of a version, or an alias.")] = PRODUCTION,
    keep: Annotated[
        list[str] | None, typer.Option(help="A column of the input to keep; may be repeated.")
    ] = None,
    format_: FormatOption = None,
    max_rejected: Annotated[
        str, typer.Option(help="Stop if more than this share of rows is rejected: 1%, 0.01.")
    ] = "",
    traffic: Annotated[
        bool,
        typer.Option(
            help="Also write what `slipway monitor --scored` reads: the features as scored."
        ),
    ] = True,
    overwrite: Annotated[
        bool, typer.Option(help="Remove what another run of this command left in OUTPUT.")
    ] = False,
    threads: Annotated[int, typer.Option(min=0, help="Threads; 0: one per core.")] = 0,
    json: JsonOption = False,
) -> None:
    """Score files with a version; interrupted, run it again, and it goes on where it was."""
    from services.batch.run import ScoringOptions, score_files
    from slipway.progress import scoring_progress

    share = parse_share(max_rejected, "--max-rejected") if max_rejected else None
    options = ScoringOptions(
        source, target, keep or (), format_, share, traffic, overwrite, threads
    )
    pointer, directory = scored_version(model, version)
    with scoring_progress() as report:
        done = score_files(directory, pointer, options, report)
    if json:
        output.as_json(done)
    else:
        _show_output(done, target)


def scored_version(model: str, version: str) -> "tuple[Pointer, Path]":
    """The pointer to a version and its directory; fetched if it is not on this machine.

    No pointer moves: what is served stays what it is.

    Raises:
        NotRegistered: no such model, version or alias.
        CorruptModel: the version is not what was registered.
        RegistryUnreachable: the tracking server does not answer.

    """
    from registry.production import reconcile
    from registry.pull import fetch_version

    store, layout = context.store(), context.layout()
    number: int | None
    if version.isdecimal():
        number = int(version)
    elif version == PRODUCTION:
        number = reconcile(store, model)
    else:
        number = store.models.get(model).aliases.get(version)
    if number is None:
        raise NotRegistered(
            f"model {model!r}: expected a version with the alias {version!r}, got none",
            remedy=f"slipway promote {model}, or name a version: --version 1",
        )
    pointer = fetch_version(store, layout, model, number)
    return pointer, layout.model(model, pointer.version)


def _show_output(done: "ScoredOutput", target: str) -> None:
    output.say(
        f"{done.rows:,} rows of {done.files:,} files scored with {done.model} version "
        f"{done.version}: {target}",
        soft_wrap=True,
    )
    if done.rejected:
        from services.batch.input_files import format_of
        from services.batch.output import DETAILS_SUFFIX, REJECTED

        where = f"{target}{DETAILS_SUFFIX if format_of(target) else ''}/{REJECTED}"
        output.say(
            f"{done.rejected:,} rows: {where}", label="rejected", style="yellow", soft_wrap=True
        )
