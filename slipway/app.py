"""The application of the command line: its commands, its errors, its exit codes."""

import os
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from contracts.errors import PlatformError
from slipway import output
from slipway.commands import (
    ab,
    board,
    card,
    compact,
    demo,
    doctor,
    explain,
    export,
    keys,
    labels,
    monitor,
    new,
    promote,
    replay,
    retrain,
    schema,
    score,
    serving,
    sign,
    simulate,
    size,
    status,
    stream,
    traffic_split,
    train,
    versions,
)
from slipway.completion import use_plain_descriptions
from slipway.deprecations import modernize
from slipway.exit_codes import SHORT_MEANINGS
from slipway.help import CommandsByTask
from slipway.usage import is_help, usage_error

COMPLETE_VARIABLE = "_SLIPWAY_COMPLETE"
"""Set by the shell while it asks what may follow; the name is Typer's."""

OUR_PACKAGES = frozenset(
    {"contracts", "metrics", "monitoring", "pages", "registry", "services", "slipway", "training"}
)

app = typer.Typer(
    name="slipway",
    cls=CommandsByTask,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="From a training script to a monitored service, and back.",
    epilog=f"Exit codes: {'; '.join(f'{code} {short}' for code, short in SHORT_MEANINGS.items())}. "
    "More: docs/cli.md",
)
for command in (
    *(new, train, sign, promote, versions, card),
    *(serving, score, export, stream, status, simulate, traffic_split),
    *(monitor, board, labels, retrain, replay, ab, explain),
    *(keys, compact, doctor, demo, size, schema),
):
    app.add_typer(command.app)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        output.say(f"slipway {version('slipway')}")
        raise typer.Exit


@app.callback()
def root(
    _version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version.", is_eager=True, callback=_print_version
        ),
    ] = False,
) -> None:
    """Options of `slipway` itself."""


def run_command_line(arguments: Sequence[str]) -> int:
    """Run a command line; returns its exit code.

    An error that a person can act on is printed without a traceback: on standard error, or as
    JSON on standard output if `--json` is among the arguments.
    """
    current, notes = modernize(arguments)
    for note in notes:
        output.warn(note)
    try:
        code = app(current, prog_name="slipway", standalone_mode=False)
    except typer.Abort:
        return 1
    except typer.TyperException as err:
        if is_help(err):
            output.say(err.format_message(), soft_wrap=True)
            return err.exit_code
        return _fail(usage_error(err, current), current)
    except PlatformError as err:
        return _fail(err, current)
    except ModuleNotFoundError as err:
        return _fail(_missing_library(err), current)
    return code if isinstance(code, int) else 0


def _missing_library(error: ModuleNotFoundError) -> PlatformError:
    """The error for a command whose library is not installed; raises what is a bug of ours."""
    library = (error.name or "").partition(".")[0]
    if library in {"", *OUR_PACKAGES}:
        raise error
    return PlatformError(
        f"this command needs the library {library}, which is not installed",
        remedy="pip install 'slipway[all]', or make setup in a checkout",
    )


def _fail(error: PlatformError, arguments: Sequence[str]) -> int:
    output.failure(error, json_wanted="--json" in arguments)
    return error.exit_code


def main() -> None:
    """Run the command line of this process."""
    if COMPLETE_VARIABLE in os.environ:
        use_plain_descriptions()
    sys.exit(run_command_line(sys.argv[1:]))
