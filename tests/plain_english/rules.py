"""The words that we do not write, what we write instead, and where a passage has one."""

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.plain_english.prose import Passage

WORDS = Path(__file__).with_name("words.tsv")


@dataclass(frozen=True, slots=True)
class Rule:
    """A regular expression, what to write instead, and an example that it must find."""

    pattern: re.Pattern[str]
    write: str
    only_in: str
    example: str


@dataclass(frozen=True, slots=True)
class Finding:
    """The words found, in which line of the file (from 1), and what to write instead."""

    line: int
    found: str
    write: str


def rules(path: Path = WORDS) -> tuple[Rule, ...]:
    """One rule per row of `path`. `^` is the beginning of a passage, a space any white space."""
    with path.open(encoding="utf-8", newline="") as file:
        return tuple(
            Rule(
                re.compile(row["pattern"], re.IGNORECASE),
                row["write"],
                row["only_in"],
                row["example"],
            )
            for row in csv.DictReader(file, dialect="excel-tab", quoting=csv.QUOTE_NONE)
        )


def findings(passage: Passage, book: tuple[Rule, ...]) -> Iterator[Finding]:
    """Each match of a rule in the passage; words broken over two lines match too."""
    flat, offsets = _flat(passage.text)
    for rule in book:
        if rule.only_in in {"", passage.kind}:
            for match in rule.pattern.finditer(flat):
                line = passage.first_line + passage.text.count("\n", 0, offsets[match.start()])
                yield Finding(line, match[0].strip(), rule.write)


def _flat(text: str) -> tuple[str, list[int]]:
    """The text with one space for each run of white space, and where each character was.

    A blank line stays a line break, so that no rule matches across two paragraphs.
    """
    letters, offsets = [], []
    for run in re.finditer(r"\S|\s+", text):
        letters.append(run[0] if not run[0].isspace() else "\n" if run[0].count("\n") > 1 else " ")
        offsets.append(run.start())
    return "".join(letters), offsets
