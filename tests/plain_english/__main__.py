"""`python -m tests.plain_english [--counts] [FILE ...]`: exit code 1 if a file has a finding."""

import subprocess
import sys
from collections import Counter
from pathlib import Path

from tests.plain_english.prose import passages
from tests.plain_english.rules import findings, rules

ROOT = Path(__file__).parents[2]
EXEMPT = {
    "tests/plain_english/test_plain_english.py",  # quotes what the check must find
}


def files() -> list[str]:
    """Every file of the checkout that git does not ignore, relative to it."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return sorted(set(listed.stdout.splitlines()))


def main(arguments: list[str]) -> int:
    """Print each finding as `file:line: found "..."; write: ...`, or the counts per folder."""
    book = rules()
    counts: Counter[str] = Counter()
    for name in [a for a in arguments if a != "--counts"] or files():
        path = ROOT / name
        if name in EXEMPT or not path.is_file():
            continue
        for passage in passages(path):
            for found in findings(passage, book):
                counts[name.split("/")[0]] += 1
                if "--counts" not in arguments:
                    sys.stdout.write(
                        f'{name}:{found.line}: "{found.found}"; write: {found.write}\n'
                    )
    if "--counts" in arguments:
        sys.stdout.writelines(f"{count:5} {folder}\n" for folder, count in counts.most_common())
    return int(bool(counts))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
