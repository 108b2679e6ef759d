"""False alarms and power of the verdict.

    python -m benchmarks.monitoring.alarms [--repetitions 300] [--seed 20260131]

Each repetition draws a new reference and a new window. Each share of alarms is printed with its
95 % Wilson interval (1927) and compared with its bar.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from benchmarks.monitoring import scenarios
from benchmarks.monitoring.scenarios import manifest
from contracts.manifest import Metric
from contracts.reference import Reference
from contracts.verdict import Finding, QualityFinding, VerdictKind, Window
from metrics.estimate import estimate_roc_auc
from metrics.interval import wilson
from monitoring.drift.histograms import WindowHistograms
from monitoring.drift.rule import findings_of
from monitoring.drift.thresholds import DriftThresholds
from monitoring.labels.join import LabelledPredictions
from monitoring.performance.realized import realized_metrics
from monitoring.quality.checks import quality_findings
from monitoring.quality.counts import QualityCounts
from monitoring.settings import MonitoringSettings
from monitoring.traffic.batch import TrafficBatch
from monitoring.verdicts.conditions import WindowFindings, decide, judge_conditions

SEED = 20260131
SETTINGS = MonitoringSettings()


@dataclass(frozen=True)
class Case:
    """A claim: how the world changes, and how often the verdict must (not) alarm."""

    name: str
    change: scenarios.Change
    rows: int
    bar: float | None
    expects: tuple[VerdictKind, ...]
    power: bool = True


ALARMS: tuple[VerdictKind, ...] = ("drift", "quality")
TWICE = (
    ("nothing changes", scenarios.unchanged, 500),
    ("nothing changes", scenarios.unchanged, 5_000),
    ("shift of 0.2 sigma", scenarios.shifted("normal", 0.2), 5_000),
    ("shift of 0.3 sigma", scenarios.shifted("normal", 0.3), 500),
)
"""What sends a message: a column that drifted in two consecutive windows. It has no bar."""
CASES = (
    Case("nothing changes", scenarios.unchanged, 500, 0.02, ALARMS, power=False),
    Case("nothing changes", scenarios.unchanged, 5_000, 0.02, ALARMS, power=False),
    Case("nothing changes", scenarios.unchanged, 50_000, 0.02, ALARMS, power=False),
    Case(
        "wobble of 0.05 sigma", scenarios.shifted("normal", 0.05), 50_000, 0.02, ALARMS, power=False
    ),
    Case("wobble of all 7 numbers", scenarios.wobbling(0.05), 50_000, None, ALARMS, power=False),
    Case("shift of 0.2 sigma", scenarios.shifted("normal", 0.2), 5_000, 0.95, ("drift",)),
    Case("shift of 0.3 sigma", scenarios.shifted("normal", 0.3), 500, 0.95, ("drift",)),
    Case("category mix 10 points", scenarios.mixed(0.1), 5_000, 0.95, ("drift",)),
    Case("5 % missing", scenarios.replaced("normal", 0.05, np.nan), 500, 0.99, ("quality",)),
    Case("new category 1 %", scenarios.replaced("region", 0.01, "up"), 5_000, 0.99, ("quality",)),
    Case(
        "x1000 on 1 % of rows",
        scenarios.multiplied("normal", 0.01, 1000),
        5_000,
        0.99,
        ("quality",),
    ),
)


FALLS = (
    ("AUC as at training", 0.0, 0.3, 0.02, False),
    ("AUC -0.075, 30 % positive", 0.075, 0.3, 0.95, True),
    ("AUC -0.075, 10 % positive", 0.075, 0.1, None, True),
)


def histograms_of(sketch: Reference, batch: TrafficBatch) -> WindowHistograms:
    """A window's histograms in the bins of a reference."""
    histograms = WindowHistograms(sketch)
    histograms.add(batch)
    return histograms


def verdict_on(
    reference: scenarios.Table, window: scenarios.Table, rng: np.random.Generator
) -> VerdictKind:
    """The decision on a window, as the monitor makes it."""
    sketch = scenarios.reference_of(reference)
    batch, counts = scenarios.rows_of(window, rng), QualityCounts()
    histograms = histograms_of(sketch, batch)
    counts.add(batch)
    findings = findings_of(histograms, DriftThresholds(SETTINGS))
    quality = list(quality_findings(histograms, counts, sketch, SETTINGS))
    return decision_on(histograms.rows, findings, quality)


def decision_on(
    rows: int, findings: Sequence[Finding], quality: Sequence[QualityFinding]
) -> VerdictKind:
    """The decision on a window with these findings."""
    window = Window(start="", end="", rows=rows, files=1, torn_lines=0)
    found = WindowFindings(window, is_judged=True, findings=findings, quality=quality)
    return decide(found, judge_conditions(found, [], SETTINGS))


def share_of_lasting(
    change: scenarios.Change, rows: int, reference_rows: int, repetitions: int, seed: int
) -> float:
    """How often some column drifted in each of two windows against the same reference."""
    hits = 0
    for repetition in range(repetitions):
        rng = np.random.default_rng([seed, rows, reference_rows, repetition, 2])
        sketch = scenarios.reference_of(scenarios.table(reference_rows, rng))
        drifted: list[set[str]] = []
        for _ in range(2):
            window = scenarios.table(rows, rng)
            change(window, rng)
            histograms = histograms_of(sketch, scenarios.rows_of(window, rng))
            found = findings_of(histograms, DriftThresholds(SETTINGS))
            drifted.append({finding.column for finding in found if finding.drifted})
        hits += bool(drifted[0] & drifted[1])
    return hits / repetitions


def share_of_alarms(case: Case, reference_rows: int, repetitions: int, seed: int) -> float:
    """How often the verdict was one of `case.expects`."""
    hits = 0
    for repetition in range(repetitions):
        rng = np.random.default_rng([seed, case.rows, reference_rows, repetition])
        reference, window = scenarios.table(reference_rows, rng), scenarios.table(case.rows, rng)
        case.change(window, rng)
        hits += verdict_on(reference, window, rng) in case.expects
    return hits / repetitions


def labelled(n: int, auc: float, positives: float, rng: np.random.Generator) -> LabelledPredictions:
    """Return labels and scores with this AUC (binormal, Hanley 1988)."""
    targets = (rng.random(n) < positives).astype(np.float64)
    gap = np.sqrt(2) * special.ndtri(auc)
    scores = special.ndtr(rng.normal(size=n) + gap * targets - gap / 2)
    predictions = (scores >= 0.5).astype(np.float64)  # noqa: PLR2004 - the threshold
    unknown = np.full(n, np.nan)
    groups = np.zeros(n, dtype=np.int16)
    return LabelledPredictions(targets, predictions, scores, unknown, groups, [(1, "")])


def share_of_falls(fall: float, positives: float, repetitions: int, seed: int) -> float:
    """Return how often a fall of the AUC from 0.80 is detected from 1,000 labels."""
    hits = 0
    for repetition in range(repetitions):
        rng = np.random.default_rng([seed, round(fall * 1000), repetition])
        held_out = labelled(5_000, 0.80, positives, rng)
        now = labelled(1_000, 0.80 - fall, positives, rng)
        known = estimate_roc_auc(held_out.targets, held_out.scores)
        baseline = Metric(value=known.value, low=known.low, high=known.high, greater_is_better=True)
        found = realized_metrics(now, manifest(roc_auc=baseline), SETTINGS.alpha)
        hits += any(metric.worse for metric in found)
    return hits / repetitions


def _judged(case: Case, share: float) -> str:
    if case.bar is None:
        return "no bar"
    met = share >= case.bar if case.power else share <= case.bar
    return f"{'>=' if case.power else '<='}{case.bar:4.0%}  {'met' if met else 'MISSED'}"


def main() -> int:
    """Print every bar; 1 if one is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=300)
    parser.add_argument("--seed", type=int, default=SEED, help="thresholds were set on the default")
    parser.add_argument("--only", default="", help="part of a case's name")
    arguments = parser.parse_args()
    missed = 0
    say = sys.stdout.write
    say(f"{arguments.repetitions} repetitions per line, seed {arguments.seed}\n")
    say("case                     rows   reference  alarms   95 % interval    bar\n")
    for case in CASES:
        if arguments.only not in case.name:
            continue
        for reference_rows in (1_000, 50_000):
            begin = time.perf_counter()
            share = share_of_alarms(case, reference_rows, arguments.repetitions, arguments.seed)
            outcome = _judged(case, share)
            missed += outcome.endswith("MISSED")
            low, high = wilson(share * arguments.repetitions, arguments.repetitions)
            say(
                f"{case.name:<24} {case.rows:>6} {reference_rows:>9} {share:>8.1%}"
                f"   {low:6.1%} - {high:6.1%}  {outcome:<13}"
                f"  {time.perf_counter() - begin:5.1f} s\n"
            )
            sys.stdout.flush()
    for name, fall, positives, bar, power in FALLS:
        if arguments.only not in name:
            continue
        share = share_of_falls(fall, positives, arguments.repetitions, arguments.seed)
        case = Case(name, scenarios.unchanged, 1_000, bar, ALARMS, power=power)
        outcome = _judged(case, share)
        missed += outcome.endswith("MISSED")
        low, high = wilson(share * arguments.repetitions, arguments.repetitions)
        say(f"{name:<24} {1000:>6} {5000:>9} {share:>8.1%}   {low:6.1%} - {high:6.1%}  {outcome}\n")
    for name, change, rows in TWICE:
        title = f"{name}, twice"
        for reference_rows in (1_000, 50_000) if arguments.only in title else ():
            share = share_of_lasting(
                change, rows, reference_rows, arguments.repetitions, arguments.seed
            )
            low, high = wilson(share * arguments.repetitions, arguments.repetitions)
            say(f"{title:<26} {rows:>4} {reference_rows:>9} {share:>8.1%}")
            say(f"   {low:6.1%} - {high:6.1%}\n")
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
