"""The page of a replay: one sentence, what would be decided otherwise, where, and examples.

One file that needs no network and no script, in the reader's light or dark.
"""

from collections.abc import Sequence
from html import escape

from contracts.replay import Answer, Example, Flips, Replay, SegmentFlips
from contracts.schema import Value
from monitoring.reporting.drift_report import document, table
from monitoring.reporting.svg import bars, steps

MOST_SEGMENTS = 60
FLIP_HEADS = ("rows", "flips", "share", "95 %", "mean shift")


def page_of(replay: Replay) -> str:
    """The whole page."""
    return document(
        replay.replay_id,
        _head(replay)
        + _next(replay)
        + _reproduction(replay)
        + _flips(replay)
        + _shift(replay)
        + _segments(replay.segments, replay.flips)
        + _groups(replay)
        + _refusals(replay)
        + _examples(replay.examples),
    )


def _head(replay: Replay) -> str:
    window = replay.window
    facts = [
        f"{replay.model} version {replay.version}",
        f"{window.start[:16]} to {window.end[:16]} UTC",
        f"{window.rows:,} rows" + (", then the limit was reached" if replay.limited else ""),
    ]
    if replay.answered_by is not None:
        facts.append(f"traffic of version {replay.answered_by} only")
    if window.torn_lines:
        facts.append(f"{window.torn_lines:,} torn lines skipped")
    if replay.torn_files:
        facts.append(f"{len(replay.torn_files)} files could not be read")
    colour = "warn" if replay.flips.flips or replay.refused else "good"
    return (
        f'<span class="tag {colour}">replay</span><h1>{escape(replay.sentence)}</h1>'
        f'<p class="facts">{escape(" · ".join(facts))}</p>'
    )


def _next(replay: Replay) -> str:
    words = (
        "Nothing was replayed: take a longer window."
        if not replay.replayed
        else "A flip is not yet a mistake: look at the examples, and wait for labels "
        "(<code>slipway ab</code>) before you call either version right."
        if replay.flips.flips
        else "Nothing is decided otherwise in this window."
    )
    return f'<p class="next"><b>What to do:</b> {words}</p>'


def _reproduction(replay: Replay) -> str:
    own = replay.reproduction
    if own is None:
        return ""
    if own.identical == own.rows:
        words = f"All {own.rows:,} answers that this version gave itself are reproduced bit for bit"
    else:
        words = (
            f"{own.rows - own.identical:,} of {own.rows:,} answers that this version gave itself "
            f"are not reproduced; scores differ by {own.largest:.2e} at most"
        )
    alone = f" ({own.alone:,} of them scored alone, as they were asked)" if own.alone else ""
    return f"<h2>Reproduction</h2><p>{words}{alone}.</p>"


def _flips(replay: Replay) -> str:
    if replay.task == "regression" or not replay.replayed:
        return ""
    rows = [
        f"<tr><td>{escape(words)}</td><td class=n>{n:,}</td>"
        f"<td class=n>{n / replay.replayed:.2%}</td></tr>"
        for words, n in replay.transitions.items()
    ]
    told = replay.flips
    return (
        f"<h2>Decisions</h2><p>{told.flips:,} of {told.rows:,} decided otherwise: "
        f"{told.share:.2%}, {told.low:.2%} to {told.high:.2%} (Wilson, 95 %).</p>"
        + (table(("answered → replayed", "rows", "share"), rows) if rows else "")
    )


def _shift(replay: Replay) -> str:
    if not replay.replayed:
        return ""
    shift, drawn = replay.shift, replay.distribution
    cells = [(f"{p} %", f"{value:+.4g}") for p, value in shift.quantiles.items()]
    heads = ["mean", "mean size", "deviation", *(name for name, _ in cells), "largest"]
    values = [
        f"{shift.mean:+.4g}",
        f"{shift.mean_absolute:.4g}",
        f"{shift.deviation:.4g}",
        *(value for _, value in cells),
        f"{shift.largest:+.4g}",
    ]
    row = "".join(f"<td class=n>{value}</td>" for value in values)
    picture = steps(drawn.answered, drawn.replayed, (f"{drawn.low:.3g}", f"{drawn.high:.3g}"))
    kept = "" if shift.sampled >= replay.replayed else f" of a sample of {shift.sampled:,} rows"
    return (
        "<h2>Scores</h2>"
        f'<p class="note">grey: as answered; blue: as replayed. Shifts are replayed minus '
        f"answered, quantiles{kept}.</p>"
        f'<div class="shapes"><figure>{picture}<figcaption>rows by score</figcaption></figure>'
        f"</div>{table(heads, [f'<tr>{row}</tr>'])}"
    )


def _flip_cells(flips: Flips, mean_shift: float) -> str:
    return (
        f"<td class=n>{flips.rows:,}</td><td class=n>{flips.flips:,}</td>"
        f"<td class=n>{flips.share:.2%}</td><td class=n>{flips.low:.2%} to {flips.high:.2%}</td>"
        f"<td class=n>{mean_shift:+.4g}</td>"
    )


def _segments(segments: Sequence[SegmentFlips], whole: Flips) -> str:
    """A slice is marked where its interval lies beyond the share of all rows."""
    rows = []
    for each in segments[:MOST_SEGMENTS]:
        hit = each.flips.low > whole.share
        strength = each.flips.share / whole.share if whole.share else 0.0
        rows.append(
            f"<tr{' class=hit' if hit else ''}><td>{escape(each.segment)}</td>"
            f"<td>{escape(each.value)}</td><td>{bars(strength, 'warn' if hit else '')}</td>"
            f"{_flip_cells(each.flips, each.mean_shift)}</tr>"
        )
    if not rows:
        return ""
    note = (
        '<p class="note">The dashed line is the share of all rows; a slice in bold is surely '
        "above it. The intervals hold together, for all slices at once.</p>"
    )
    heads = ("segment", "value", "", *FLIP_HEADS)
    return "<h2>By segment</h2>" + note + table(heads, rows)


def _groups(replay: Replay) -> str:
    rows = [
        f"<tr><td>version {g.version}</td><td>{escape(g.variant)}</td>"
        f"{_flip_cells(g.flips, g.mean_shift)}</tr>"
        for g in replay.groups
    ]
    heads = ("answered by", "variant", *FLIP_HEADS)
    return "<h2>By version</h2>" + table(heads, rows) if rows else ""


def _refusals(replay: Replay) -> str:
    rows = [
        f"<tr><td class=words>{escape(r.reason)}</td><td class=n>{r.rows:,}</td>"
        f"<td><code>{escape(r.example)}</code></td></tr>"
        for r in replay.refusals
    ]
    if not rows:
        return ""
    return (
        f"<h2>Refused</h2><p>{replay.refused:,} requests that were answered would be refused.</p>"
        + table(("why", "rows", "for example"), rows)
    )


def _examples(examples: Sequence[Example]) -> str:
    rows = [
        f"<tr><td><code>{escape(e.prediction_id)}</code><br>{escape(e.time[:19])}</td>"
        f"<td>{_answer(e.answered)}</td><td>{_answer(e.replayed)}</td>"
        f"<td class=words>{_features(e.features)}</td></tr>"
        for e in examples
    ]
    heads = ("prediction", "answered", "replayed", "features")
    return "<h2>Examples</h2>" + table(heads, rows) if rows else ""


def _answer(answer: Answer) -> str:
    if isinstance(answer.prediction, str):
        return f"{escape(answer.prediction)}<br>{answer.score:.4g}"
    return f"{answer.score:.6g}"


def _features(features: dict[str, Value]) -> str:
    return ", ".join(
        f"{escape(name)} {escape('-' if value is None else str(value)[:80])}"
        for name, value in features.items()
    )
