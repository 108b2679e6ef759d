"""Small charts as inline SVG; their colours come from `pages/style.css`."""

from collections.abc import Iterable, Sequence

from markupsafe import Markup

WIDTH, HEIGHT = 260, 90
BAR_HEIGHT = 20
MAX_LABEL = 14
"""Characters that fit before the bars of a category."""


def step_chart(before: Sequence[float], now: Sequence[float], ends: Sequence[str]) -> Markup:
    """Two distributions over equal bins as stepped lines, with the ends of the axis."""
    top = max([*before, *now, 1e-9])
    return Markup(
        '<svg viewBox="0 0 {width} {height}" role="img" aria-label="before and now">'
        '<path class="line-ref" d="{before}"/><path class="line-now" d="{now}"/>'
        '<text x="0" y="{base}">{low}</text>'
        '<text x="{width}" y="{base}" text-anchor="end">{high}</text></svg>'
    ).format(
        width=WIDTH,
        height=HEIGHT + 14,
        base=HEIGHT + 12,
        before=_step_path(before, top),
        now=_step_path(now, top),
        low=ends[0],
        high=ends[-1],
    )


def _step_path(values: Sequence[float], top: float) -> str:
    width = WIDTH / max(len(values), 1)
    heights = [HEIGHT - 2 - value / top * (HEIGHT - 6) for value in values]
    steps = [f"V{height:.1f}H{(i + 1) * width:.1f}" for i, height in enumerate(heights)]
    return f"M0 {HEIGHT - 2}{''.join(steps)}V{HEIGHT - 2}"


def category_chart(before: Sequence[float], now: Sequence[float], labels: Sequence[str]) -> Markup:
    """Two shares per category as bars, one above the other."""
    top = max([*before, *now, 1e-9])
    rows = (
        Markup(
            '<text x="0" y="{base}">{label}</text>'
            '<rect class="ref" x="82" y="{upper}" width="{before:.1f}" height="6"/>'
            '<rect class="now" x="82" y="{lower}" width="{now:.1f}" height="6"/>'
            '<text x="{width}" y="{base}" text-anchor="end">{share:.1%}</text>'
        ).format(
            base=i * BAR_HEIGHT + 12,
            upper=i * BAR_HEIGHT + 2,
            lower=i * BAR_HEIGHT + 9,
            label=label if len(label) <= MAX_LABEL else f"{label[: MAX_LABEL - 1]}…",
            before=before_share / top * 130,
            now=share / top * 130,
            share=share,
            width=WIDTH,
        )
        for i, (before_share, share, label) in enumerate(zip(before, now, labels, strict=True))
    )
    return Markup('<svg viewBox="0 0 {} {}" role="img">{}</svg>').format(
        WIDTH, max(len(labels), 1) * BAR_HEIGHT, _joined(rows)
    )


def limit_bar(strength: float, colour: str) -> Markup:
    """How far an effect stands beyond its limit, the dashed line at 1; cut off at 4 limits."""
    return Markup(
        '<svg viewBox="0 0 80 8" style="width:80px;height:8px" role="img">'
        '<rect class="s-{}" width="{:.1f}" height="8" rx="2"/>'
        '<line class="limit" x1="20" x2="20" y1="0" y2="8"/></svg>'
    ).format(colour, min(strength, 4) * 20)


def timeline(colours: Sequence[str], titles: Sequence[str]) -> Markup:
    """One square per window, the newest on the right; a title appears when pointed at."""
    step = 14
    squares = (
        Markup(
            '<rect class="s-{}" x="{}" width="11" height="18" rx="2"><title>{}</title></rect>'
        ).format(colour, i * step, title)
        for i, (colour, title) in enumerate(zip(colours, titles, strict=True))
    )
    width = max(len(colours), 1) * step
    return Markup(
        '<svg viewBox="0 0 {width} 18" style="max-width:{width}px" role="img" '
        'aria-label="verdicts over time">{squares}</svg>'
    ).format(width=width, squares=_joined(squares))


def row_chart(rows: Sequence[int]) -> Markup:
    """The rows in equal parts of the window as columns."""
    top, width = max([*rows, 1]), 600 / max(len(rows), 1)
    columns = (
        Markup(
            '<rect class="now" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}">'
            "<title>{:,} rows</title></rect>"
        ).format(i * width, 40 - n / top * 38, width - 2, n / top * 38, n)
        for i, n in enumerate(rows)
    )
    return Markup(
        '<svg viewBox="0 0 600 40" role="img" aria-label="rows over time">{}</svg>'
    ).format(_joined(columns))


def _joined(parts: Iterable[Markup]) -> Markup:
    return Markup("").join(parts)
