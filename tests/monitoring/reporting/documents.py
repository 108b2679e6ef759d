"""Documents that fill every part of a page, with text that a page must escape."""

from pathlib import Path

from msgspec.structs import replace

from contracts.experiment import Experiment, Look
from contracts.replay import Flips, Replay, Reproduction, SegmentFlips
from contracts.verdict import (
    Estimate,
    Finding,
    GroupPerformance,
    Performance,
    QualityFinding,
    Verdict,
)
from monitoring.reporting.histograms import HistogramPair
from tests.monitoring.verdict_history import with_conditions

GOLDEN = Path(__file__).parents[2] / "contracts" / "golden"
ATTACK = "<script>alert(1)</script>\"'&"
DRIFTED = Finding(
    column="age",
    kind="number",
    n=400,
    p_value=1e-9,
    test="Kolmogorov-Smirnov",
    statistics={"ks": 0.4321},
    effect="ks",
    effect_size=0.4321,
    effect_threshold=0.05,
    drifted=True,
)


def full_verdict() -> Verdict:
    """A verdict with everything that a report can show."""
    golden = Verdict.read((GOLDEN / "verdict.v1-slices.json").read_bytes())
    assert golden.performance is not None
    number = replace(golden.findings[0], column="age")
    category = Finding(
        column=ATTACK,
        kind="category",
        n=5000,
        p_value=0.0,
        test="chi-square",
        statistics={"total_variation": 0.2, "jensen_shannon": 0.1, "chi_square": 812.4},
        effect="total_variation",
        effect_size=0.2,
        effect_threshold=0.05,
        drifted=True,
        since="2026-01-31T11:00:00.000000Z",
        windows=3,
        segment=ATTACK,
        segment_share=0.8,
    )
    fault = QualityFinding(
        column=ATTACK,
        fault="missing",
        share=0.1,
        reference_share=0.0,
        p_value=0.0,
        detail=ATTACK,
        segment="region = north",
        segment_share=0.9,
    )
    group = GroupPerformance(
        version=7, variant=ATTACK, labels=900, metric="roc_auc", value=0.7, low=0.6, high=0.8
    )
    segment = replace(golden.performance.segments[0], value=ATTACK)
    performance = replace(
        golden.performance, groups=(group, replace(group, version=8)), segments=(segment,)
    )
    return replace(
        golden,
        sentence=ATTACK,
        findings=(number, category, replace(number, column="income", drifted=False)),
        quality=(fault, replace(fault, alarming=False)),
        performance=performance,
        window=replace(golden.window, torn_lines=3, other_versions=1200),
        profile=(5, 0, 7),
        torn_files=("part-1.parquet: cut",),
    )


def histograms(verdict: Verdict) -> list[HistogramPair]:
    """A drawing of each finding."""
    return [
        HistogramPair(f.column, f.kind, (ATTACK, "9"), (0.5, 0.5), (0.25, 0.75))
        for f in verdict.findings
    ]


def verdicts_of_every_kind() -> list[Verdict]:
    """Each decision, with each state of labels and estimate."""
    whole = full_verdict()
    assert whole.performance is not None
    empty = replace(whole, findings=(), quality=(), profile=(), torn_files=(), evidently="")
    waiting = Performance(status="immature", mature_at="2026-02-01T13:00:00.000000Z")
    verdicts = [
        replace(empty, decision="stable", performance=waiting, estimate=None),
        replace(whole, decision="drift", performance=replace(waiting, status="no_labels")),
        replace(whole, decision="quality", performance=replace(waiting, status="too_few_labels")),
        replace(whole, decision="performance", estimate=Estimate(missing=ATTACK)),
        replace(empty, decision="too_few_rows", performance=None),
        replace(empty, decision="no_traffic", estimate=Estimate(metric="roc_auc", value=0.8)),
        replace(empty, decision="unreadable", performance=None),
    ]
    return [with_conditions(verdict) for verdict in verdicts]


def full_replay() -> Replay:
    """A replay with everything that its page can show."""
    golden = Replay.read((GOLDEN / "replay.v1.json").read_bytes())
    flips = Flips(rows=1000, flips=60, share=0.06, low=0.04, high=0.09)
    example = replace(golden.examples[0], prediction_id=ATTACK, features={ATTACK: None, "b": True})
    return replace(
        golden,
        sentence=ATTACK,
        limited=True,
        answered_by=1,
        window=replace(golden.window, torn_lines=1),
        torn_files=("part-1.parquet: cut",),
        transitions={ATTACK: 344},
        segments=(
            *golden.segments,
            SegmentFlips(segment=ATTACK, value=ATTACK, flips=flips, mean_shift=0.0),
        ),
        groups=(replace(golden.groups[0], variant=ATTACK),),
        reproduction=Reproduction(
            rows=6000, identical=5990, identical_unbatched=3, max_difference=2.4e-7
        ),
        examples=(example,),
        refusals=(replace(golden.refusals[0], reason=ATTACK),),
    )


def replays_of_every_kind() -> list[Replay]:
    """Full, without a change, of a regression, and of no traffic."""
    whole = full_replay()
    none = Flips(rows=0, flips=0, share=0.0, low=0.0, high=1.0)
    same = Reproduction(rows=10, identical=10, identical_unbatched=0, max_difference=0.0)
    bare = replace(
        whole, flips=none, transitions={}, segments=(), groups=(), examples=(), refusals=()
    )
    answer = replace(whole.examples[0].answered, prediction=1.5)
    value = replace(whole.examples[0], answered=answer, replayed=answer)
    return [
        whole,
        replace(bare, reproduction=same, refused=0),
        replace(bare, task="regression", examples=(value,)),
        replace(bare, replayed=0, reproduction=None),
    ]


def experiments_of_every_kind() -> list[Experiment]:
    """Each outcome; the second is of no traffic at all."""
    golden = Experiment.read((GOLDEN / "experiment.v1.json").read_bytes())
    looks = tuple(
        Look(time=f"2026-03-{day:02d}T00:00:00.000000Z", units=100 * day, difference=0.1,
             low=-1 / day, high=1 / day)
        for day in range(1, 20)
    )  # fmt: skip
    whole = replace(
        golden,
        sentence=ATTACK,
        notes=(ATTACK,),
        looks=looks,
        immature=1,
        unlabelled=2,
        other=3,
        mixed_units=4,
        window=replace(golden.window, torn_lines=1),
        results=(replace(golden.results[0], variant=ATTACK, value=None, low=None, high=None),),
    )
    unchecked = replace(golden.ratio, checked=False, strata=())
    failed = replace(
        golden.ratio, p_value=1e-9, strata=(replace(golden.ratio.strata[0], weight=0.0),)
    )
    return [
        whole,
        replace(
            golden, outcome="undecided", effect=None, looks=(), results=(), started_at="",
            ratio=unchecked, labelled_ratio=unchecked, notes=(),
        ),
        replace(whole, outcome="worse"),
        replace(whole, outcome="invalid", ratio=failed, looks=looks[:1]),
    ]  # fmt: skip
