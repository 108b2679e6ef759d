"""Small pictures as inline SVG; colours come from the page's style."""

from collections.abc import Sequence
from html import escape

WIDTH, HEIGHT = 260, 90


def steps(before: Sequence[float], now: Sequence[float], ends: Sequence[str]) -> str:
    """Two distributions over equal cells as stepped lines, with the axis' ends."""
    top = max([*before, *now, 1e-9])
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT + 14}" role="img" aria-label="before and now">'
        f'<path class="line-ref" d="{_path(before, top)}"/>'
        f'<path class="line-now" d="{_path(now, top)}"/>'
        f'<text x="0" y="{HEIGHT + 12}">{escape(ends[0])}</text>'
        f'<text x="{WIDTH}" y="{HEIGHT + 12}" text-anchor="end">{escape(ends[-1])}</text></svg>'
    )


def _path(values: Sequence[float], top: float) -> str:
    width = WIDTH / max(len(values), 1)
    heights = [HEIGHT - 2 - value / top * (HEIGHT - 6) for value in values]
    return (
        f"M0 {HEIGHT - 2}"
        + "".join(f"V{height:.1f}H{(i + 1) * width:.1f}" for i, height in enumerate(heights))
        + f"V{HEIGHT - 2}"
    )


def pairs(before: Sequence[float], now: Sequence[float], words: Sequence[str]) -> str:
    """Two shares a category as bars, one above the other."""
    top = max([*before, *now, 1e-9])
    rows = []
    for i, (a, b, word) in enumerate(zip(before, now, words, strict=True)):
        y = i * 20
        shown = word if len(word) <= 14 else f"{word[:13]}…"  # noqa: PLR2004 - what 80 px hold
        rows.append(
            f'<text x="0" y="{y + 12}">{escape(shown)}</text>'
            f'<rect class="ref" x="82" y="{y + 2}" width="{a / top * 130:.1f}" height="6"/>'
            f'<rect class="now" x="82" y="{y + 9}" width="{b / top * 130:.1f}" height="6"/>'
            f'<text x="{WIDTH}" y="{y + 12}" text-anchor="end">{b:.1%}</text>'
        )
    return f'<svg viewBox="0 0 {WIDTH} {max(len(rows), 1) * 20}" role="img">{"".join(rows)}</svg>'


def bars(strength: float, mark: str) -> str:
    """How far an effect stands beyond its limit, at most four times."""
    width = min(strength, 4) * 20
    return (
        '<svg viewBox="0 0 80 8" style="width:80px;height:8px" role="img">'
        f'<rect class="s-{mark}" width="{width:.1f}" height="8" rx="2"/>'
        '<line class="limit" x1="20" x2="20" y1="0" y2="8"/></svg>'
    )


def timeline(marks: Sequence[str], words: Sequence[str]) -> str:
    """One square a window, the newest on the right; `words` appear when pointed at."""
    step = 14
    squares = "".join(
        f'<rect class="s-{mark}" x="{i * step}" width="11" height="18" rx="2">'
        f"<title>{escape(word)}</title></rect>"
        for i, (mark, word) in enumerate(zip(marks, words, strict=True))
    )
    width = max(len(marks), 1) * step
    return (
        f'<svg viewBox="0 0 {width} 18" style="max-width:{width}px" role="img" '
        f'aria-label="verdicts over time">{squares}</svg>'
    )


def profile(rows: Sequence[int]) -> str:
    """Rows in equal parts of the window."""
    top, width = max([*rows, 1]), 600 / max(len(rows), 1)
    columns = "".join(
        f'<rect class="now" x="{i * width:.1f}" y="{40 - n / top * 38:.1f}" '
        f'width="{width - 2:.1f}" height="{n / top * 38:.1f}"><title>{n:,} rows</title></rect>'
        for i, n in enumerate(rows)
    )
    return f'<svg viewBox="0 0 600 40" role="img" aria-label="rows over time">{columns}</svg>'
