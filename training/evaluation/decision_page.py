"""The page of a decision: its sentence, a chart of the improvement, and every check.

One small file that needs no network and no script (`pages/`). The chart shows the interval of
the improvement on an axis with zero and the margin.
"""

from contracts.decision import Check, Decision, Evaluation
from pages.render import render

TEMPLATE = "training/evaluation/decision_page.html.j2"
CHART_LEFT, CHART_WIDTH = 20, 560
"""Where the axis begins, and how long it is, in a drawing that is 600 wide."""
LABEL_LEFT, LABEL_RIGHT = 30, 570
"""Labels are not centred further out than this, so that they stay within the drawing."""


def decision_html(decision: Decision) -> str:
    """A decision as one HTML page of a few kilobytes."""
    evaluation = decision.evaluation
    return render(
        TEMPLATE,
        decision=decision,
        evaluation=evaluation,
        positions=None if evaluation is None else _chart_positions(evaluation),
        checks=_refusals_first(decision.checks),
    )


def _refusals_first(checks: tuple[Check, ...]) -> list[Check]:
    return sorted(checks, key=lambda check: (not check.refuses, not check.judged))


def _chart_positions(evaluation: Evaluation) -> dict[str, float]:
    """Horizontal positions in the drawing, in its units, by what they mark."""
    marks = {
        "low": evaluation.low,
        "high": evaluation.high,
        "difference": evaluation.difference,
        "zero": 0.0,
        "margin": evaluation.margin,
    }
    least = min(marks.values())
    span = (max(marks.values()) - least) or 1.0
    x = {name: round(CHART_LEFT + CHART_WIDTH * (v - least) / span, 1) for name, v in marks.items()}
    labels = {
        f"{name}_label": min(max(x[name], LABEL_LEFT), LABEL_RIGHT) for name in ("zero", "margin")
    }
    return x | labels
