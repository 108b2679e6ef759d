"""The page: our verdict on top, computed over every row; Evidently's pictures below."""

from collections.abc import Sequence
from html import escape

from contracts.verdict import Finding, QualityFinding, Verdict
from monitoring.sentence import EFFECTS

COLOURS = {"stable": "#2e7d4f", "drift": "#b4541a", "quality": "#a12b2b"}
GREY = "#5b6770"

_STYLE = """
.slipway{--ink:#1f2933;--paper:#fff;--line:#d8dee4;--soft:#f5f7f9;
font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);
padding:24px max(16px,calc(50% - 560px))}
@media (prefers-color-scheme:dark){.slipway{--ink:#e6ebef;--paper:#171c21;--line:#39434c;
--soft:#20272e}}
.slipway h1{font-size:22px;line-height:1.3;margin:12px 0}
.slipway .decision{display:inline-block;color:#fff;border-radius:4px;padding:2px 10px;
font-weight:600;text-transform:uppercase;letter-spacing:.04em;font-size:12px}
.slipway .facts{opacity:.8;margin:0 0 16px}
.slipway .wide{overflow-x:auto}
.slipway table{border-collapse:collapse;width:100%;margin:8px 0 20px;font-size:14px}
.slipway th{text-align:left;background:var(--soft)}
.slipway th,.slipway td{padding:6px 10px;border-bottom:1px solid var(--line);white-space:nowrap}
.slipway td.number{text-align:right;font-variant-numeric:tabular-nums}
.slipway tr.drifted td{font-weight:600}
.slipway .bar{display:inline-block;height:8px;border-radius:2px;vertical-align:middle}
"""


def page_of(verdict: Verdict, evidently: str, note: str) -> str:
    """The whole page; `evidently` is Evidently's page, or empty, and then `note` says why."""
    top = f"<style>{_STYLE}</style>{_header(verdict, note)}"
    if not evidently:
        head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        title = f"<title>{escape(verdict.verdict_id)}</title>"
        return f"<!doctype html><html><head>{head}{title}</head><body>{top}</body></html>"
    place = evidently.index(">", evidently.index("<body")) + 1
    return evidently[:place] + top + evidently[place:]


def _header(verdict: Verdict, note: str) -> str:
    window = verdict.window
    colour = COLOURS.get(verdict.decision, GREY)
    skipped = f", {window.torn_lines} torn lines skipped" if window.torn_lines else ""
    others = f", {window.other_versions} rows of other versions" if window.other_versions else ""
    facts = (
        f"{verdict.model} version {verdict.version} · {window.start} to {window.end} · "
        f"{window.rows:,} rows{skipped}{others} · run {verdict.run_id}"
    )
    return (
        '<section class="slipway">'
        f'<span class="decision" style="background:{colour}">{escape(verdict.decision)}</span>'
        f"<h1>{escape(verdict.sentence)}</h1>"
        f'<p class="facts">{escape(facts)}</p>'
        f"{_faults(verdict.quality)}{_findings(verdict.findings)}"
        f"<p>{escape(note)}</p></section>"
    )


def _faults(quality: Sequence[QualityFinding]) -> str:
    rows = [
        f"<tr class=drifted><td>{escape(f.column)}</td><td>{escape(f.fault)}</td>"
        f"<td class=number>{f.share:.2%}</td><td class=number>{f.reference_share:.2%}</td>"
        f"<td>{escape(f.detail)}</td></tr>"
        for f in quality
    ]
    heads = ("fault of the data in", "fault", "share", "at training", "in words")
    return _table(heads, rows) if rows else ""


def _findings(findings: Sequence[Finding]) -> str:
    rows = [_finding_row(f) for f in sorted(findings, key=_strength, reverse=True)]
    heads = ("column", "", "effect", "size", "counts from", "p-value", "PSI", "rows")
    return _table(heads, rows) if rows else ""


def _finding_row(finding: Finding) -> str:
    colour = COLOURS["drift"] if finding.drifted else GREY
    width = min(_strength(finding), 8) * 12
    kind = "drifted" if finding.drifted else "same"
    return (
        f"<tr class={kind}><td>{escape(finding.column)}</td>"
        f'<td><span class="bar" style="width:{width:.0f}px;background:{colour}"></span></td>'
        f"<td>{escape(EFFECTS[finding.effect])}</td>"
        f"<td class=number>{finding.effect_size:.3f}</td>"
        f"<td class=number>{finding.effect_threshold:g}</td>"
        f"<td class=number>{finding.p_value:.2g}</td>"
        f"<td class=number>{finding.statistics['psi']:.3f}</td>"
        f"<td class=number>{finding.n:,}</td></tr>"
    )


def _strength(finding: Finding) -> float:
    return finding.effect_size / finding.effect_threshold


def _table(heads: Sequence[str], rows: Sequence[str]) -> str:
    head = "".join(f"<th>{escape(word)}</th>" for word in heads)
    return f'<div class="wide"><table><tr>{head}</tr>{"".join(rows)}</table></div>'
