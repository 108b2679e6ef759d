"""Small charts of the operations page as inline SVG, without axes; titles say the numbers."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime

from markupsafe import Markup

from contracts.verdict import Verdict
from monitoring.operations.traffic_day import TrafficHour
from monitoring.operations.verdict_series import PerformanceSeries
from monitoring.reporting.verdict_index import DECISION_COLOURS
from monitoring.verdicts.summary import time_range_text

WIDTH, HEIGHT = 240, 36
GAP = 1.5
MAX_SQUARES = 48
MIN_SPAN = 1e-9


def row_bars(hours: Sequence[TrafficHour]) -> Markup:
    """The predictions of each hour as bars, the present on the right."""
    top = max((hour.rows for hour in hours), default=0) or 1
    step = WIDTH / max(len(hours), 1)
    bars = (
        Markup(
            '<rect class="bar{}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}">'
            "<title>{:%H:%M} UTC: {:,} predictions</title></rect>"
        ).format(
            "" if hour.rows else " none",
            i * step,
            HEIGHT - _bar(hour.rows, top),
            step - GAP,
            _bar(hour.rows, top),
            hour.start,
            hour.rows,
        )
        for i, hour in enumerate(hours)
    )
    return _drawing("predictions per hour of the last day", bars)


def _bar(rows: int, top: int) -> float:
    """The height of a bar; an hour without predictions is a thin line."""
    return max(rows / top * (HEIGHT - 2), 2.0) if rows else 1.0


def latency_lines(hours: Sequence[TrafficHour]) -> Markup:
    """The median and the 99th percentile of each hour; hours without predictions are gaps."""
    top = max((hour.p99_ms or 0.0 for hour in hours), default=0.0) or 1.0
    step = WIDTH / max(len(hours), 1)

    def at(value: float) -> float:
        return HEIGHT - 2 - value / top * (HEIGHT - 5)

    marks = [
        _line(css, [(i * step + step / 2, h.p50_ms if css == "p50" else h.p99_ms)
                    for i, h in enumerate(hours)], at)
        for css in ("p99", "p50")
    ]  # fmt: skip
    return _drawing("latency per hour of the last day: median and 99th percentile", marks)


def performance_lines(series: PerformanceSeries) -> Markup:
    """Realized performance with its interval, the estimate, and the baseline (dashed)."""
    known = [
        value
        for p in series.points
        for value in (p.realized, p.low, p.high, p.estimated)
        if value is not None
    ]
    if series.baseline is not None:
        known.append(series.baseline)
    low, high = min(known), max(known)
    span = max(high - low, MIN_SPAN)
    xs = _positions([p.time for p in series.points])

    def at(value: float) -> float:
        return HEIGHT - 4 - (value - low) / span * (HEIGHT - 8)

    marks: list[Markup] = []
    if series.baseline is not None:
        marks.append(
            Markup('<line class="base" x1="0" x2="{}" y1="{y:.1f}" y2="{y:.1f}"/>').format(
                WIDTH, y=at(series.baseline)
            )
        )
    for x, p in zip(xs, series.points, strict=True):
        if p.low is not None and p.high is not None:
            marks.append(
                Markup(
                    '<line class="interval" x1="{x:.1f}" x2="{x:.1f}" y1="{:.1f}" y2="{:.1f}"/>'
                ).format(at(p.low), at(p.high), x=x)
            )
    estimated = [(x, p.estimated) for x, p in zip(xs, series.points, strict=True)]
    realized = [(x, p.realized) for x, p in zip(xs, series.points, strict=True)]
    marks += [_line("estimated", estimated, at), _line("realized", realized, at)]
    marks += [
        Markup('<circle class="realized" cx="{:.1f}" cy="{:.1f}" r="2"/>').format(x, at(value))
        for x, value in realized
        if value is not None
    ]
    return _drawing(f"{series.metric} over windows: realized, estimated and at training", marks)


def verdict_squares(verdicts: Sequence[Verdict]) -> Markup:
    """The newest verdicts as squares, coloured by decision; a line where the version changed."""
    shown = verdicts[-MAX_SQUARES:]
    step, height = 10, 18
    squares: list[Markup] = []
    for i, verdict in enumerate(shown):
        if i and verdict.version != shown[i - 1].version:
            squares.append(
                Markup('<line class="change" x1="{x}" x2="{x}" y1="0" y2="18"/>').format(
                    x=i * step - 1
                )
            )
        squares.append(
            Markup(
                '<rect class="s-{}" x="{}" y="2" width="8" height="14" rx="1.5">'
                "<title>{}: {}, version {}</title></rect>"
            ).format(
                DECISION_COLOURS.get(verdict.decision, ""),
                i * step,
                time_range_text(verdict.window.start, verdict.window.end),
                verdict.decision.replace("_", " "),
                verdict.version,
            )
        )
    width = max(len(shown) * step, step)
    return Markup(
        '<svg class="squares" viewBox="0 0 {width} {height}" style="width:{width}px" role="img" '
        'aria-label="verdicts over time, the newest on the right">{}</svg>'
    ).format(Markup("").join(squares), width=width, height=height)


def _positions(times: Sequence[datetime]) -> list[float]:
    """Horizontal positions of times; a single one is on the right."""
    first, last = min(times).timestamp(), max(times).timestamp()
    span = last - first
    if not span:
        return [WIDTH - 4.0 for _ in times]
    return [4 + (time.timestamp() - first) / span * (WIDTH - 8) for time in times]


def _line(
    css: str, points: Iterable[tuple[float, float | None]], at: Callable[[float], float]
) -> Markup:
    """A line through points; None interrupts it."""
    return Markup('<path class="{}" d="{}"/>').format(css, "".join(_moves(points, at)))


def _moves(
    points: Iterable[tuple[float, float | None]], at: Callable[[float], float]
) -> Iterator[str]:
    is_down = False
    for x, value in points:
        if value is None:
            is_down = False
            continue
        yield f"{'L' if is_down else 'M'}{x:.1f} {at(value):.1f}"
        if not is_down:
            yield "h.01"  # a single point has a length, so that it is drawn
        is_down = True


def _drawing(label: str, marks: Iterable[Markup]) -> Markup:
    return Markup(
        '<svg class="spark" viewBox="0 0 {} {}" preserveAspectRatio="none" role="img" '
        'aria-label="{}">{}</svg>'
    ).format(WIDTH, HEIGHT, label, Markup("").join(marks))
