"""How `slipway --help` looks: the commands by task, with an example for each task.

The pages are plain text. Typer's pages of boxes load Rich with its Markdown parser and syntax
highlighter, which takes longer than the rest of the start.
"""

from typing import Any

from typer.core import TyperGroup

from slipway.options import TASK_EXAMPLES

MAX_HELP_CHARS = 200
"""Of a command in the list: the first sentence of its help is shorter."""


class CommandsByTask(TyperGroup):
    """The commands of `slipway`, listed by task: the panel that each command names."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the commands of each task below its name, and its example."""
        for task, example in TASK_EXAMPLES.items():
            rows = [
                (name, self.commands[name].get_short_help_str(MAX_HELP_CHARS))
                for name in self.list_commands(ctx)
                if getattr(self.commands[name], "rich_help_panel", "") == task
            ]
            with formatter.section(task):
                formatter.write_dl(rows)
                formatter.write_paragraph()
                formatter.write_text(f"Example: {example}")
