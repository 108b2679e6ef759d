"""`slipway explain`: a prediction, walked back to its model, its data and who promoted it."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from slipway import context, output

if TYPE_CHECKING:
    from contracts.traffic import TrafficRecord
    from monitoring.explanation.shapley import Explanation
    from registry.lineage import Lineage

app = typer.Typer()

CHECK_COLUMNS = ("check", "path", "passed", "expected", "got")
CONTRIBUTION_COLUMNS = ("feature", "value", "contribution", "standard error")


@app.command("explain", epilog="Example: slipway explain 0193a5c2-... --contributions")
def command(
    prediction: Annotated[str, typer.Argument(help="A prediction id.")],
    contributions: Annotated[
        bool, typer.Option("--contributions", help="What each feature contributed.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")] = False,
) -> None:
    """Walk a prediction back to its model, its run and the data that trained it."""
    from monitoring.traffic.lookup import find
    from registry.lineage import lineage

    record = find(context.layout(), prediction)
    origin = lineage(context.store(), record.model, record.version, record.time)
    parts = _contributions(record) if contributions else None
    if json:
        found = {"prediction": record, "lineage": origin}
        output.as_json(found | ({"contributions": parts} if parts else {}))
        return
    output.fields("Prediction", record)
    _show_lineage(origin)
    if parts:
        _show_contributions(parts)


def _contributions(record: "TrafficRecord") -> "Explanation":
    """What each feature contributed, by the version that answered."""
    from monitoring.baseline import find_baseline
    from monitoring.explanation.shapley import explain

    baseline = find_baseline(context.store(), context.layout(), record.model, record.version)
    return explain(context.layout(), baseline, record)


def _show_lineage(origin: "Lineage") -> None:
    told = {name: value for name, value in vars(origin).items() if name != "checks"}
    output.fields("Model", told)
    rows = [(c.subject, c.path, _passed(c), c.expected, c.got) for c in origin.checks]
    if rows:
        output.table("Checks", CHECK_COLUMNS, rows)


def _passed(check: Any) -> str:
    if not check.judged:
        return "told"
    return "yes" if check.passed else "no"


def _show_contributions(parts: "Explanation") -> None:
    rows = [(c.feature, c.value, f"{c.contribution:+.6f}", c.error) for c in parts.contributions]
    output.table("Contributions", CONTRIBUTION_COLUMNS, rows)
    added = sum(c.contribution for c in parts.contributions)
    output.say(
        f"{parts.of}: {parts.score:.6f} = {parts.base:.6f} (mean of {parts.reference_rows} "
        f"reference rows) {added:+.6f}; {parts.method}, {parts.scores:,} scores"
    )
