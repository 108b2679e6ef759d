"""What a person wants of a traffic split, in the words of the tag `slipway.challenger`.

`10%`, `off`, `canary`, `canary 5,25,50,100 each 200`, each with `by FEATURE` after it. The
words are the same on the command line and in `mlflow ui`.
"""

import re
from dataclasses import dataclass

from contracts.errors import InvalidSplit

OFF = "off"
STEPS = (0.05, 0.25, 0.5, 1.0)
"""A canary's weights, one after the other; at 100 % the challenger becomes production.

A lower first step would harm no fewer requests: what a test needs is a number of the
challenger's, and at 1 % they only take five times as long to come."""
EACH = 200
"""So many requests the challenger answers at a step before the next."""
_NUMBER = r"\d{1,3}(?:\.\d{1,6})?"
_WORDS = re.compile(
    rf"(?:(?P<off>off|0%?)|(?P<percent>{_NUMBER})\s*%"
    rf"|(?P<canary>canary)(?:\s+(?P<steps>{_NUMBER}(?:\s*,\s*{_NUMBER})*)\s*%?)?"
    r"(?:\s+each\s+(?P<each>[1-9]\d{0,8}))?)"
    r"(?:\s+by\s+(?P<by>\S+))?"
)
_HELP = "write 10%, off, canary, or canary 5,25,50,100 each 200; by FEATURE may follow"
_ROUNDING = 12


@dataclass(frozen=True)
class Wish:
    """The share of units for the challenger: fixed, or in the steps of a canary.

    `each`: so many requests of the challenger's a step must have. `by` names the feature that
    is the unit where no header says it.
    """

    weight: float = 0.0
    steps: tuple[float, ...] = ()
    each: int = EACH
    by: str = ""

    @property
    def is_off(self) -> bool:
        """Whether production answers everything."""
        return not self.weight and not self.steps

    @property
    def text(self) -> str:
        """The words that `parse` reads this from."""
        if self.steps:
            words = f"canary {','.join(map(_percent, self.steps))} each {self.each}"
        else:
            words = OFF if self.is_off else f"{_percent(self.weight)}%"
        return f"{words} by {self.by}" if self.by else words


def parse(text: str) -> Wish:
    """The wish in these words.

    Raises:
        InvalidSplit: they are none, or no share of the units.

    """
    found = _WORDS.fullmatch(text.strip())
    if found is None:
        raise InvalidSplit(f"challenger: expected a share, got {text[:200]!r}", remedy=_HELP)
    by = found["by"] or ""
    if found["off"]:
        return Wish(by=by)
    if found["percent"]:
        return Wish(weight=_share(found["percent"], text), by=by)
    steps: tuple[float, ...] = STEPS
    if found["steps"]:
        steps = tuple(_share(word.strip(), text) for word in found["steps"].split(","))
    if list(steps) != sorted(set(steps)) or steps[0] <= 0.0:
        raise InvalidSplit(
            f"challenger: expected steps above 0 that rise, got {text[:200]!r}", remedy=_HELP
        )
    return Wish(steps=steps, each=int(found["each"] or EACH), by=by)


def _share(percent: str, text: str) -> float:
    share = round(float(percent) / 100, _ROUNDING)
    if share > 1.0:
        raise InvalidSplit(f"challenger: expected at most 100%, got {text[:200]!r}", remedy=_HELP)
    return share


def _percent(share: float) -> str:
    return f"{round(share * 100, _ROUNDING - 2):.10f}".rstrip("0").rstrip(".")
