"""Old spellings of commands and options, accepted until the next release.

They are replaced before the arguments are parsed, so no command knows them and no help shows
them; each replacement is reported in a note.
"""

from collections.abc import Sequence

COMMANDS = {"traffic": "simulate"}
"""Old name of a command: its name now."""
OPTIONS = {
    "monitor": {"--since": "--last"},
    "replay": {"--window": "--last", "--since": "--start", "--until": "--end"},
    "ab": {"--window": "--last", "--since": "--start", "--until": "--end"},
}
"""Per command, the old spelling of an option: its spelling now."""


def modernize(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """The arguments in today's spelling, and a one-line note for each old one.

    >>> modernize(["replay", "loan", "--window=7d"])[0]
    ['replay', 'loan', '--last=7d']
    """
    if not arguments:
        return [], []
    command, notes = arguments[0], []
    if command in COMMANDS:
        notes.append(_note(f"slipway {command}", f"slipway {COMMANDS[command]}"))
        command = COMMANDS[command]
    current = [command]
    for argument in arguments[1:]:
        option, equals, value = argument.partition("=")
        new = OPTIONS.get(command, {}).get(option)
        if new is not None:
            notes.append(_note(f"slipway {command} {option}", new))
        current.append(f"{new or option}{equals}{value}")
    return current, notes


def _note(old: str, new: str) -> str:
    return f"deprecated: {old} is now {new}; the old spelling goes away with the next release"
