"""The page of an A/B experiment: a summary, the difference over time, and the checks."""

from collections.abc import Sequence
from pathlib import Path

from markupsafe import Markup

from contracts.experiment import Experiment, Look
from contracts.names import Layout
from monitoring.reporting.artifacts import write_document
from monitoring.verdicts.summary import METRIC_NAMES
from pages.formats import format_count, format_minute
from pages.render import render

OUTCOME_COLOURS = {"better": "good", "worse": "bad", "invalid": "warn", "undecided": ""}
WIDTH, HEIGHT = 640, 200
LEFT, RIGHT, TOP, BOTTOM = 60, 10, 8, 22
"""Margins of the chart, in its units."""
PADDING = 0.05
"""Share of the range that is left free above and below."""


def write_experiment(layout: Layout, experiment: Experiment) -> tuple[Path, Path]:
    """Write an experiment as JSON and as a page; gives their paths. The same one replaces them.

    Raises:
        Unwritable: the folder of experiments cannot be written.

    """
    return write_document(
        layout.experiments / experiment.model,
        experiment.experiment_id,
        experiment,
        experiment_html(experiment),
    )


def experiment_html(experiment: Experiment) -> str:
    """An experiment as one HTML page that needs no network and no script."""
    effect = experiment.effect
    return render(
        "monitoring/experiment/page.html.j2",
        experiment=experiment,
        facts=_facts(experiment),
        colour=OUTCOME_COLOURS[experiment.outcome],
        metric="metric" if effect is None else METRIC_NAMES.get(effect.metric, effect.metric),
        chart=_sequence_chart(experiment.looks) if experiment.looks else "",
    )


def _facts(experiment: Experiment) -> list[str]:
    window = experiment.window
    facts = [
        f"{format_minute(window.start)} to {format_minute(window.end)} UTC",
        f"{format_count(experiment.rows, 'row')} of {format_count(experiment.units, 'unit')}",
    ]
    if experiment.started_at:
        facts.append(f"started {format_minute(experiment.started_at)}")
    if experiment.immature:
        facts.append(f"{format_count(experiment.immature, 'row')} whose labels are not due yet")
    if experiment.unlabelled:
        facts.append(f"{format_count(experiment.unlabelled, 'row')} without a label")
    if experiment.other:
        facts.append(
            f"{format_count(experiment.other, 'row')} of other versions or outside the split"
        )
    if window.torn_lines:
        facts.append(f"{format_count(window.torn_lines, 'torn line')} skipped")
    return facts


def _sequence_chart(looks: Sequence[Look]) -> Markup:
    """The confidence sequence over time as a band round the difference, with a line at zero.

    The first looks know little and their band is wide, so the last three quarters set the scale.
    """
    scaled = looks[len(looks) // 4 :]
    low = min(0.0, *(look.low for look in scaled))
    high = max(0.0, *(look.high for look in scaled))
    padding = (high - low or 1.0) * PADDING
    bottom, top = low - padding, high + padding

    def x(index: int) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * (index / max(len(looks) - 1, 1))

    def y(value: float) -> float:
        inside = min(max(value, bottom), top)
        return TOP + (HEIGHT - TOP - BOTTOM) * (top - inside) / (top - bottom)

    upper = [f"{x(i):.1f},{y(look.high):.1f}" for i, look in enumerate(looks)]
    lower = [f"{x(i):.1f},{y(look.low):.1f}" for i, look in enumerate(looks)]
    marks = (
        Markup('<text x="{}" y="{:.1f}" text-anchor="end">{:+.3g}</text>').format(
            LEFT - 4, y(value) + 3, value
        )
        for value in (low, 0.0, high)
    )
    return Markup(
        '<svg viewBox="0 0 {width} {height}" role="img" '
        'aria-label="the difference over time with its confidence sequence">'
        '<polygon class="band" points="{band}"/>'
        '<line class="zero" x1="{left}" x2="{right}" y1="{zero:.1f}" y2="{zero:.1f}"/>'
        '<polyline class="line-now" points="{line}"/>'
        '<circle class="now" cx="{right:.1f}" cy="{last:.1f}" r="3"/>{marks}'
        '<text x="{left}" y="{base}">{first_time}</text>'
        '<text x="{right}" y="{base}" text-anchor="end">{last_time}</text></svg>'
    ).format(
        width=WIDTH,
        height=HEIGHT,
        left=LEFT,
        right=WIDTH - RIGHT,
        base=HEIGHT - 4,
        zero=y(0),
        band=" ".join([*upper, *reversed(lower)]),
        line=" ".join(f"{x(i):.1f},{y(look.difference):.1f}" for i, look in enumerate(looks)),
        last=y(looks[-1].difference),
        marks=Markup("").join(marks),
        first_time=format_minute(looks[0].time),
        last_time=format_minute(looks[-1].time),
    )
