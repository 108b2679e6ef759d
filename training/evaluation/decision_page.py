"""The page of a decision: one sentence, the picture of the difference, and every check.

One small file that needs no network and no script, in the reader's light or dark, on a phone
as on a wide screen. Whatever people or data wrote is escaped.
"""

from html import escape

from contracts.decision import Check, Decision, Evaluation

STYLE = """
:root{color-scheme:light dark;--ink:#1c2530;--soft:#5b6875;--paper:#fff;--line:#dde3e9;
--good:#2b7a4b;--warn:#b4541a;--bad:#a8262b;--now:#2563a8}
@media (prefers-color-scheme:dark){:root{--ink:#e7ecf1;--soft:#9aa7b4;--paper:#14191e;
--line:#323c46;--good:#5fbf86;--warn:#eb9a5c;--bad:#f0787c;--now:#74aef0}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:56rem;padding:1.25rem 1rem 3rem;background:var(--paper);
color:var(--ink);font:1rem/1.5 system-ui,sans-serif;overflow-wrap:anywhere}
h1{font-size:1.3rem;line-height:1.3;margin:.5rem 0}h2{font-size:1.05rem;margin:1.75rem 0 .5rem}
p{margin:.4rem 0}.soft{color:var(--soft);font-size:.875rem}
.tag{color:var(--paper);background:var(--soft);padding:.1rem .6rem;border-radius:.25rem;
font-size:.75rem;font-weight:700;text-transform:uppercase}
.promoted{background:var(--good)}.forced{background:var(--warn)}.refused{background:var(--bad)}
ul{list-style:none;margin:0;padding:0}li{border-top:1px solid var(--line);padding:.5rem 0}
li b{margin-right:.5rem}.pass{color:var(--good)}.fail{color:var(--bad)}.told{color:var(--soft)}
svg{width:100%;height:auto;display:block}
"""
MARKS = {True: ("pass", "\N{CHECK MARK}", "passed"), False: ("fail", "\N{BALLOT X}", "refused")}


def page(decision: Decision) -> str:
    """A decision as one HTML page of some kilobytes."""
    who = f"{decision.made_at} by {decision.by}" + (
        f", because: {decision.because}" if decision.because else ""
    )
    before = decision.production_version
    versions = f"version {decision.version} against " + (
        "nothing in production" if before is None else f"version {before} in production"
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
        "style-src 'unsafe-inline'\">"
        f"<title>{escape(decision.model)} {decision.version}: {decision.outcome}</title>"
        f"<style>{STYLE}</style></head><body><main>"
        f'<span class="tag {decision.outcome}">{decision.outcome}</span>'
        f"<h1>{escape(decision.sentence)}</h1>"
        f'<p class="soft">{escape(decision.model)} {versions}. {escape(who)}.</p>'
        f"{'' if decision.evaluation is None else _exam(decision.evaluation)}"
        f"<h2>Checks</h2><ul>{''.join(map(_check, _refusals_first(decision.checks)))}</ul>"
        f'<p class="soft">Decision {escape(decision.decision_id)}, run {escape(decision.run_id)}, '
        f"manifest {escape(decision.digest[:12])}. What is checked and why: docs/gate.md</p>"
        "</main></body></html>\n"
    )


def _refusals_first(checks: tuple[Check, ...]) -> list[Check]:
    return sorted(checks, key=lambda check: (not check.refuses, not check.judged))


def _check(check: Check) -> str:
    css, sign, word = MARKS[check.passed] if check.judged else ("told", "\N{BULLET}", "told")
    expected = f"<br>expected {escape(check.expected)}" if check.expected else ""
    named = check.path.startswith(check.subject)
    what = check.path if named else f"{check.subject}: {check.path}"
    return (
        f'<li><b class="{css}"><span aria-hidden="true">{sign}</span> {word}</b>'
        f"{escape(what)}"
        f'<div class="soft">got {escape(check.got)}{expected}</div></li>'
    )


def _exam(exam: Evaluation) -> str:
    """The numbers of the exam, and where the difference lies."""
    least = f"An improvement of {exam.detectable:.3g} shows in 80 of 100 cases. "
    return (
        f"<h2>{escape(exam.metric)} on the same {exam.rows:,} rows</h2>"
        f"<p>Challenger {exam.challenger:.5g}, production {exam.production:.5g}. The improvement "
        f"is {exam.difference:+.4g}; surely above {exam.low:+.4g} ({100 * (1 - exam.alpha):.4g} %, "
        f"attempt {exam.attempt} at this exam), surely below {exam.high:+.4g} (95 %).</p>"
        f"{_picture(exam)}"
        f'<p class="soft">{least if exam.detectable else "Both answer alike. "}'
        f"Margin {exam.margin:g}. Exam {escape(exam.digest[:12])}, {exam.resamples} paired "
        "resamples.</p>"
    )


def _picture(exam: Evaluation) -> str:
    """The interval as a line over an axis with zero and, if there is one, the margin."""
    marks = (exam.low, exam.high, exam.difference, 0.0, exam.margin)
    low, span = min(marks), (max(marks) - min(marks)) or 1.0
    low, high, middle, zero, margin = (20 + 560 * (mark - low) / span for mark in marks)
    colour = "var(--good)" if exam.low > 0 else "var(--now)"
    dashed = (
        f'<line x1="{margin:.1f}" x2="{margin:.1f}" y1="8" y2="48" stroke="var(--soft)" '
        f'stroke-dasharray="3 3"/><text x="{min(max(margin, 30), 570):.1f}" y="62" font-size="12" '
        'text-anchor="middle" fill="var(--soft)">margin</text>'
    )
    return (
        '<svg viewBox="0 0 600 66" role="img" aria-label="the improvement and its bounds">'
        f'<line x1="{zero:.1f}" x2="{zero:.1f}" y1="8" y2="48" stroke="var(--soft)"/>'
        f"{dashed if exam.margin else ''}"
        f'<line x1="{low:.1f}" x2="{high:.1f}" y1="28" y2="28" stroke="{colour}" '
        f'stroke-width="4"/><circle cx="{middle:.1f}" cy="28" r="7" fill="{colour}"/>'
        f'<text x="{min(max(zero, 30), 570):.1f}" y="62" font-size="12" text-anchor="middle" '
        'fill="var(--soft)">no better</text></svg>'
    )
