"""The traffic split that people ask for, in the syntax of the tag `slipway.challenger`.

`10%`, `off`, `canary`, `canary 5,25,50,100 each 200`, each optionally followed by `by FEATURE`.
The command line and `mlflow ui` use the same syntax.
"""

import re
from dataclasses import dataclass

from contracts.errors import InvalidSplit

OFF = "off"
DEFAULT_STEPS = (0.05, 0.25, 0.5, 1.0)
"""The weights of a canary, in order; at 100 % the challenger becomes production.

A lower first step would not harm fewer requests: a test needs a certain number of the
challenger's answers, and at 1 % they only take five times as long to come."""
DEFAULT_REQUESTS_PER_STEP = 200
"""Requests that the challenger must answer at a step before the next one."""
_NUMBER = r"\d{1,3}(?:\.\d{1,6})?"
_SYNTAX = re.compile(
    rf"(?:(?P<off>off|0%?)|(?P<percent>{_NUMBER})\s*%"
    rf"|(?P<canary>canary)(?:\s+(?P<steps>{_NUMBER}(?:\s*,\s*{_NUMBER})*)\s*%?)?"
    r"(?:\s+each\s+(?P<each>[1-9]\d{0,8}))?)"
    r"(?:\s+by\s+(?P<by>\S+))?"
)
_HELP = "write 10%, off, canary, or canary 5,25,50,100 each 200; by FEATURE may follow"
_DECIMALS = 12


@dataclass(frozen=True)
class SplitSpec:
    """The desired share of units for the challenger: fixed, or in the steps of a canary.

    The challenger must answer `requests_per_step` requests at each step. `by` names the feature
    that identifies the unit where no header does.
    """

    weight: float = 0.0
    steps: tuple[float, ...] = ()
    requests_per_step: int = DEFAULT_REQUESTS_PER_STEP
    by: str = ""

    @property
    def is_off(self) -> bool:
        """Whether production answers everything."""
        return not self.weight and not self.steps

    @property
    def text(self) -> str:
        """The text from which `parse_split` reads this."""
        if self.steps:
            text = f"canary {','.join(map(_percent, self.steps))} each {self.requests_per_step}"
        else:
            text = OFF if self.is_off else f"{_percent(self.weight)}%"
        return f"{text} by {self.by}" if self.by else text


def parse_split(text: str) -> SplitSpec:
    """The split spec that a text describes.

    Raises:
        InvalidSplit: the text does not follow the syntax, or a share is out of range.

    """
    found = _SYNTAX.fullmatch(text.strip())
    if found is None:
        raise InvalidSplit(f"challenger: expected a share, got {text[:200]!r}", remedy=_HELP)
    by = found["by"] or ""
    if found["off"]:
        return SplitSpec(by=by)
    if found["percent"]:
        return SplitSpec(weight=_share(found["percent"], text), by=by)
    steps: tuple[float, ...] = DEFAULT_STEPS
    if found["steps"]:
        steps = tuple(_share(step.strip(), text) for step in found["steps"].split(","))
    if list(steps) != sorted(set(steps)) or steps[0] <= 0.0:
        raise InvalidSplit(
            f"challenger: expected rising steps above 0, got {text[:200]!r}", remedy=_HELP
        )
    requests = int(found["each"] or DEFAULT_REQUESTS_PER_STEP)
    return SplitSpec(steps=steps, requests_per_step=requests, by=by)


def _share(percent: str, text: str) -> float:
    share = round(float(percent) / 100, _DECIMALS)
    if share > 1.0:
        raise InvalidSplit(f"challenger: expected at most 100%, got {text[:200]!r}", remedy=_HELP)
    return share


def _percent(share: float) -> str:
    return f"{round(share * 100, _DECIMALS - 2):.10f}".rstrip("0").rstrip(".")
