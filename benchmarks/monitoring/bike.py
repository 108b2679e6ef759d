"""Real drift: bike rentals by the hour, trained on the first half of 2011, judged by the week.

    python -m benchmarks.monitoring.bike <path of bike_sharing_hour.csv> [--no-evidently]

Prints, by month, in how many weekly windows each column fired here and with Evidently's
defaults, and what the labels said. The data: Fanaee-T and Gama (2013), UCI "Bike Sharing".
"""

import argparse
import sys
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
from numpy.typing import NDArray

from contracts.reference import CategoryReference, ColumnReference, Reference
from metrics.estimate import estimate_rmse, p_value_worse
from monitoring.drift.histograms import WindowHistograms
from monitoring.drift.rule import findings_of
from monitoring.drift.thresholds import DriftThresholds
from monitoring.quality.checks import quality_findings
from monitoring.quality.counts import QualityCounts
from monitoring.settings import MonitoringSettings
from monitoring.traffic.batch import TrafficBatch

NUMBERS = ("temp", "hum", "windspeed", "hr")
WORDS = ("weathersit", "workingday", "weekday")
COLUMNS = (*NUMBERS, *WORDS, "score")
SETTINGS = MonitoringSettings()
HALF = pd.Timestamp("2011-07-01")
WEEK = pd.Timedelta(days=7)
WORSE = 0.1
"""Smallest relative rise of the RMSE that counts, as in `monitoring.performance.realized`."""


@dataclass
class Month:
    """What fired in the weeks that began in a month."""

    weeks: int = 0
    ours: Counter[str] = field(default_factory=Counter)
    theirs: Counter[str] = field(default_factory=Counter)
    our_alarms: int = 0
    their_alarms: int = 0
    worse: int = 0
    errors: list[float] = field(default_factory=list)


def load(path: Path) -> pd.DataFrame:
    """The hours in the order of time, categories as text; hours without a record left out."""
    table = pd.read_csv(path).dropna(subset=[*NUMBERS, *WORDS, "cnt"])
    table["time"] = pd.to_datetime(table.dteday, format="%m/%d/%y") + pd.to_timedelta(
        table.hr, unit="h"
    )
    table[list(WORDS)] = table[list(WORDS)].astype(int).astype(str)
    return table.drop_duplicates("time").sort_values("time").reset_index(drop=True)


def fitted(train: pd.DataFrame, seed: int = 0) -> tuple[pd.DataFrame, pd.DataFrame, object]:
    """Rows to learn from, held-out rows, and the model."""
    from sklearn.ensemble import HistGradientBoostingRegressor

    held_out = train.sample(frac=0.25, random_state=seed)
    learned = train.drop(held_out.index)
    model = HistGradientBoostingRegressor(random_state=seed)
    model.fit(matrix(learned), learned.cnt)
    return learned, held_out, model


def matrix(table: pd.DataFrame) -> NDArray[np.float64]:
    """The features as numbers, shape `(n_rows, 7)`."""
    found: NDArray[np.float64] = table[[*NUMBERS, *WORDS]].astype(float).to_numpy()
    return found


def reference_of(learned: pd.DataFrame, scores: NDArray[np.float64]) -> Reference:
    """The sketch that training would store."""
    from training.reference import number_reference

    features: dict[str, ColumnReference] = {
        name: number_reference(learned[name].to_numpy(float)) for name in NUMBERS
    }
    for name in WORDS:
        counts = {str(k): int(n) for k, n in learned[name].value_counts().items()}
        features[name] = CategoryReference(counts=counts, missing=0)
    return Reference(
        n_rows=len(learned),
        n_predictions=len(scores),
        features=features,
        predictions={"score": number_reference(scores)},
    )


def ours(reference: Reference, week: pd.DataFrame) -> list[str]:
    """Columns that fired here."""
    histograms, counts = WindowHistograms(reference), QualityCounts()
    columns = {name: pl.Series(week[name].to_numpy(float)) for name in (*NUMBERS, "score")}
    columns |= {name: pl.Series(week[name].to_list()) for name in WORDS}
    times = week.time.to_numpy().astype("datetime64[us]").astype(np.int64)
    batch = TrafficBatch(times, pl.Series(times), columns)
    histograms.add(batch)
    counts.add(batch)
    quality = quality_findings(histograms, counts, reference, SETTINGS)
    drift = findings_of(histograms, DriftThresholds(SETTINGS))
    return [f.column for f in quality if f.alarming] + [f.column for f in drift if f.drifted]


def theirs(learned: pd.DataFrame, week: pd.DataFrame) -> tuple[list[str], bool]:
    """Columns that fire with Evidently's defaults, and whether it calls the dataset drifted."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from evidently import DataDefinition, Dataset, Report
        from evidently.presets import DataDriftPreset

        definition = DataDefinition(
            numerical_columns=[*NUMBERS, "score"], categorical_columns=list(WORDS)
        )
        sides = [
            Dataset.from_pandas(t[list(COLUMNS)], data_definition=definition)
            for t in (week, learned)
        ]
        found = Report([DataDriftPreset()]).run(*sides).dict()["metrics"]
    fired, share = [], 0.0
    for metric in found:
        config = metric["config"]
        if "column" in config:
            # A p-value falls below its threshold, a distance rises above it.
            small = "p_value" in config["method"] or "p-value" in metric["metric_name"]
            value, threshold = float(metric["value"]), float(config["threshold"])
            if value < threshold if small else value >= threshold:
                fired.append(str(config["column"]))
        else:
            share = float(metric["value"]["share"])
    return fired, share >= 0.5  # noqa: PLR2004 - Evidently's default drift share


def judge(table: pd.DataFrame, *, with_evidently: bool) -> Mapping[str, Month]:
    """Every week from July 2011 on, by month."""
    learned, held_out, model = fitted(table[table.time < HALF])
    scores = model.predict(matrix(held_out))  # type: ignore[attr-defined]  # scikit-learn's
    reference = reference_of(learned, scores)
    learned = learned.assign(score=model.predict(matrix(learned)))  # type: ignore[attr-defined]
    baseline = estimate_rmse(scores - held_out.cnt.to_numpy(float))
    say(f"trained on {len(learned):,} hours; RMSE held out {baseline.value:.0f} rentals an hour")
    months: dict[str, Month] = {}
    for start in pd.date_range(HALF, table.time.max() - WEEK, freq=WEEK):
        week = table[(table.time >= start) & (table.time < start + WEEK)]
        if len(week) < SETTINGS.fewest_rows:
            continue
        week = week.assign(score=model.predict(matrix(week)))  # type: ignore[attr-defined]
        month = months.setdefault(f"{start:%Y-%m}", Month())
        month.weeks += 1
        fired = ours(reference, week)
        month.ours.update(fired)
        month.our_alarms += bool(fired)
        if with_evidently:
            columns, drifted = theirs(learned, week)
            month.theirs.update(columns)
            month.their_alarms += drifted
        now = estimate_rmse((week.score - week.cnt).to_numpy(float))
        p_value = p_value_worse(
            now, baseline.value, baseline.standard_error, greater_is_better=False
        )
        month.worse += p_value < SETTINGS.alpha and now.value >= (1 + WORSE) * baseline.value
        month.errors.append(now.value)
    return months


def show(months: Mapping[str, Month]) -> None:
    """The table, one line a month."""
    say("\n| month | weeks | fired here (weeks) | alarms | Evidently's defaults | any column | "
        "dataset | RMSE | worse by labels |\n|---|---|---|---|---|---|---|---|---|")  # fmt: skip
    for name, month in months.items():
        say(
            f"| {name} | {month.weeks} | {_listed(month.ours)} | {month.our_alarms} | "
            f"{_listed(month.theirs)} | {max(month.theirs.values(), default=0)} | "
            f"{month.their_alarms} | {np.mean(month.errors):.0f} | {month.worse} |"
        )
    total = [sum(values) for values in zip(*(_totals(m) for m in months.values()), strict=True)]
    say(f"\nweeks {total[0]}, alarms here {total[1]}, Evidently's dataset alarms {total[2]}, "
        f"worse by labels {total[3]}")  # fmt: skip


def _totals(month: Month) -> Sequence[int]:
    return month.weeks, month.our_alarms, month.their_alarms, month.worse


def _listed(fired: Counter[str]) -> str:
    return ", ".join(f"{name} {n}" for name, n in fired.most_common()) or "-"


def say(line: str) -> None:
    """A line of the report."""
    sys.stdout.write(f"{line}\n")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="bike_sharing_hour.csv")
    parser.add_argument("--no-evidently", action="store_true")
    arguments = parser.parse_args()
    show(judge(load(arguments.data), with_evidently=not arguments.no_evidently))


if __name__ == "__main__":
    main()
