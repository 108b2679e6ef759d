"""What a person or a script reads of a result: text and tables, or JSON.

Names, tags and reasons may come from others. In text and tables, characters that would control the
terminal are spelt as escapes, and nothing is read as markup; JSON escapes them anyway.
"""

import json
import sys
from collections.abc import Iterable, Sequence

from contracts.errors import PlatformError
from contracts.printable import printable, printable_lines


def say(text: str = "", *, label: str = "", style: str = "", soft_wrap: bool = False) -> None:
    """Print for a person, as wide as the terminal is now; a `label` in a `style` goes before."""
    from rich.console import Console
    from rich.text import Text

    before = (printable(label), style), " " if label else ""
    line = Text.assemble(*before, printable_lines(text))
    Console(highlight=False).print(line, soft_wrap=soft_wrap)


def warn(text: str) -> None:
    """Print a note on standard error, where it does not disturb JSON on standard output."""
    sys.stderr.write(f"{printable_lines(text)}\n")


def as_json(value: object) -> None:
    """Print dataclasses, documents and plain values as JSON, for scripts."""
    import msgspec

    plain = msgspec.to_builtins(value, enc_hook=str)
    sys.stdout.write(json.dumps(plain, indent=2) + "\n")


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print rows below the names of their columns; numbers are aligned to the right."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    # Without lines between columns, the widest table of ours fits 80 characters.
    sheet = Table(
        title=Text(printable(title), "table.title"),
        title_justify="left",
        header_style="bold",
        box=SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    body = [tuple(row) for row in rows]
    for index, column in enumerate(columns):
        numeric = bool(body) and all(isinstance(row[index], int | float) for row in body)
        # On a narrow screen only the last column is folded: numbers and names stay whole.
        sheet.add_column(
            column,
            justify="right" if numeric else "left",
            overflow="fold",
            no_wrap=index < len(columns) - 1,
        )
    for row in body:
        sheet.add_row(*(Text(printable(_cell(value))) for value in row))
    Console(highlight=False).print(sheet)


def fields(title: str, value: object) -> None:
    """Print a document or dataclass, one field per line; empty fields are left out."""
    import msgspec

    plain = msgspec.to_builtins(value, enc_hook=str)
    table(title, ("field", "value"), [(k, v) for k, v in plain.items() if v not in ("", None, [])])


def failure(error: PlatformError, *, json_wanted: bool) -> None:
    """Print an error: text on standard error, or JSON on standard output.

    The JSON is a `slipway.results.CommandError`.
    """
    if json_wanted:
        from slipway.results import CommandError, error_details

        as_json(CommandError(error_details(error)))
        return
    warn(f"error: {error}")


def _cell(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
