"""Conditions are judged, reported, alerted, answered and accepted apart from each other."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from contracts.verdict import (
    Condition,
    Performance,
    QualityFinding,
    RealizedMetric,
    Verdict,
)
from monitoring.alerting.episodes import Alerts, alerts_after
from monitoring.reporting.drift_report import drift_report_html
from monitoring.retraining.trigger import evaluate_trigger
from monitoring.settings import MonitoringSettings
from monitoring.verdicts.acceptance import accept
from monitoring.verdicts.conditions import WindowFindings, decide, judge_conditions
from monitoring.verdicts.summary import verdict_sentence
from tests.conftest import Workplace
from tests.monitoring.monitor.conftest import (  # noqa: F401 - fixtures
    served,
    trained,
    without_evidently,
)
from tests.monitoring.monitor.scenario import judge, served_rows, write
from tests.monitoring.reporting.documents import DRIFTED
from tests.monitoring.verdict_history import verdict

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")

SETTINGS = MonitoringSettings()
FAULT = QualityFinding(
    column="region", fault="unseen", share=0.01, reference_share=0.0, p_value=0.0, detail=""
)
GOLDEN = Path(__file__).parents[2] / "contracts" / "golden"


def worse(p_value: float = 0.001) -> Performance:
    metric = RealizedMetric(
        metric="roc_auc", value=0.71, low=0.68, high=0.74, baseline=0.8, baseline_low=0.79,
        baseline_high=0.81, greater_is_better=True, p_value=p_value, effect_threshold=0.02,
        worse=True,
    )  # fmt: skip
    return Performance(status="judged", mature_at="", labels=900, metrics=(metric,))


def judged(day: int, earlier: list[Verdict], **found: Any) -> Verdict:
    """The verdict on a day in which this was found."""
    blank = verdict(day)
    findings = WindowFindings(blank.window, is_judged=True, **found)
    conditions = judge_conditions(findings, earlier, SETTINGS)
    decision = decide(findings, conditions)
    return replace(
        blank,
        decision=decision,
        conditions=conditions,
        sentence=verdict_sentence("tiny version 1", decision, blank.window, conditions),
        findings=tuple(found.get("findings", ())),
        quality=tuple(found.get("quality", ())),
        performance=found.get("performance"),
    )


def states(judged: Verdict) -> dict[str, str]:
    return {c.kind: c.state for c in judged.conditions}


def test_a_fault_hides_neither_worse_performance_nor_drift() -> None:
    """In the sentence, on the page, in the messages and in what calls for a retraining."""
    drifted = replace(DRIFTED, windows=2)
    everything = {"quality": [FAULT], "performance": worse(), "findings": [drifted]}
    before = judged(0, [], **everything)
    found = judged(1, [before], **everything)
    page = drift_report_html(found)
    trigger = evaluate_trigger(found, [before], {}, 0.1).trigger

    assert found.decision == "quality"
    assert {c.kind for c in found.alarms} == {"quality", "performance", "drift"}
    for text in ("data faults in region (unseen, 1.0%)", "AUC 0.71, down from 0.8", "age (KS 0.43"):
        assert text in found.sentence
    for text in ("slipway retrain --because", "fix the data source", "Drift alone is not damage"):
        assert text in page
    assert [m.title.split()[-1] for m in alerts_after(Alerts(), found, ["x"]).pending] == [
        "quality",
        "performance",
        "drift",
    ]
    assert trigger is not None
    assert (trigger.reason, trigger.since) == ("performance", before.window.start)


def test_too_few_rows_hide_no_worse_performance_of_earlier_ones() -> None:
    blank = verdict(0)
    findings = WindowFindings(blank.window, is_judged=False, performance=worse(1e-9))
    conditions = judge_conditions(findings, [], SETTINGS)
    sentence = verdict_sentence("tiny version 1", "too_few_rows", blank.window, conditions)

    assert sentence.startswith("tiny version 1: 1,000 rows are too few to judge; ")
    assert "AUC 0.71, down from 0.8" in sentence


def test_drift_in_faulty_data_calls_for_no_retraining() -> None:
    found = judged(0, [], quality=[FAULT], findings=[replace(DRIFTED, windows=9)])

    assert evaluate_trigger(found, [], {"age": 1.0}, 0.1).trigger is None


def test_each_condition_is_resolved_when_it_is_clear_itself() -> None:
    state = Alerts()
    first = judged(0, [], quality=[FAULT], performance=worse(1e-9))
    second = judged(1, [first], quality=[FAULT])
    third = judged(2, [first, second])
    titles = []
    for each in (first, second, third):
        state = alerts_after(state, each, ["x"])
        titles.append([m.body.split("\n")[0] for m in state.pending if m.resolved])

    assert states(second)["performance"] == "unknown", "no label is no sign that it is right"
    assert titles[1] == []
    assert len(titles[2]) == 1
    assert titles[2][0].startswith("Over: quality since")
    assert {e.kind for e in state.episodes} == {"performance"}


@pytest.mark.parametrize(("p_value", "confirmed"), [(0.001, [False, True]), (1e-9, [True, True])])
def test_worse_performance_is_confirmed_by_a_second_window_or_beyond_doubt(
    p_value: float, confirmed: list[bool]
) -> None:
    first = judged(0, [], performance=worse(p_value))
    unlabelled = judged(1, [first])
    second = judged(2, [first, unlabelled], performance=worse(p_value))

    assert [v.condition("performance").confirmed for v in (first, second)] == confirmed
    assert second.condition("performance").windows == 2
    assert bool(alerts_after(Alerts(), first, ["x"]).pending) == confirmed[0]
    assert (evaluate_trigger(first, [], {}, 0.1).trigger is not None) == confirmed[0]


def test_a_verdict_of_version_1_gets_the_conditions_that_its_decision_hid() -> None:
    golden = msgspec.json.decode((GOLDEN / "verdict.v1-slices.json").read_bytes())
    golden["decision"] = "quality"
    read = Verdict.read(msgspec.json.encode(golden))

    assert {c.kind for c in read.alarms} == {"quality", "performance", "drift"}
    assert read.document_version == 2
    assert Verdict.read((GOLDEN / "verdict.v2.json").read_bytes()).condition(
        "quality"
    ) == Condition(
        kind="quality", state="accepted", sentence="data faults in region (unseen, 1.0%)"
    )


def test_the_sentence_names_what_was_accepted() -> None:
    usual = replace(FAULT, alarming=False, accepted_in="tiny-1-0")
    found = judged(0, [], quality=[usual])

    assert (found.decision, found.condition("quality").state) == ("stable", "accepted")
    assert "except for what was accepted: data faults in region" in found.sentence


@pytest.mark.usefixtures("without_evidently")
def test_an_accepted_fault_alarms_again_only_if_it_grows_or_is_another(served: Workplace) -> None:  # noqa: F811 - a fixture
    """A new product: four rows in a hundred have a category that training never saw."""
    rows = served_rows(served, 1_000, 5)

    def with_region(share: float, name: str) -> Verdict:
        n = round(share * len(rows))
        changed = [replace(r, features=r.features | {"region": name}) for r in rows[:n]]
        for path in served.layout.traffic("tiny").rglob("*.jsonl"):
            path.unlink()
        write(served, [*changed, *rows[n:]])
        return judge(served)

    first = with_region(0.04, "overseas")
    accept(served.layout, "tiny", first.verdict_id, who="ada", why="new", now=datetime.now(UTC))
    accepted_file = served.layout.verdicts / "tiny" / f"{first.verdict_id}.json"
    kept = accepted_file.read_bytes()

    def again(share: float, name: str) -> Verdict:
        found = with_region(share, name)
        accepted_file.write_bytes(kept)
        return found

    assert first.decision == "quality"
    usual = again(0.044, "overseas")
    assert usual.condition("quality").state == "accepted"
    assert usual.decision != "quality", usual.sentence
    assert again(0.08, "overseas").decision == "quality", "twice as many"
    assert again(0.04, "elsewhere").decision == "quality", "another category"
