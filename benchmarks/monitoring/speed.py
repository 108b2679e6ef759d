"""Time and memory of the monitor at size, each case in a process of its own.

    python -m benchmarks.monitoring.speed [--only rows] [--rows 100000000]

Cases: `rows` (100 M rows x 10 columns from Parquet to verdict, page and Evidently's report),
`labels` (10 M predictions joined with 7 M labels), `day` (a day of 1 M rows, as lines and
compacted). Files are written first, below --folder, and removed.
"""

import argparse
import multiprocessing
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import numpy as np
import polars as pl

from benchmarks.monitoring import scenarios
from contracts.compaction import COMPACTION_FILE, CompactionManifest
from contracts.manifest import Manifest, Metric
from contracts.names import SAMPLE_FILE, Layout
from contracts.reference import Reference
from contracts.traffic import TrafficRecord
from monitoring import judgement
from monitoring.baseline import Baseline
from monitoring.performance.realized import realized_performance
from monitoring.reporting.drift_report import drift_report_html
from monitoring.reporting.evidently import evidently_report
from monitoring.reporting.histograms import histogram_pair
from monitoring.settings import MonitoringSettings
from monitoring.traffic.compaction import compact_traffic
from monitoring.traffic.jsonl import JsonlReader
from monitoring.traffic.projections import TypedColumns
from monitoring.traffic.window import TimeWindow

DAY = datetime(2026, 1, 31, tzinfo=UTC)
END = DAY + timedelta(days=1)
SPAN = TimeWindow("loan", 1, DAY, END)
NOW = DAY + timedelta(days=9)
FILE_ROWS = 1_000_000
DISTINCT = 4
"""Different files that are written; the others are links to them, so their ids come again and
the verdict on them is `quality`."""
DAY_US = 86_400_000_000


def simulated() -> Manifest:
    """A binary model with an AUC and an accuracy of 0.8."""
    one = Metric(value=0.8, low=0.79, high=0.81, greater_is_better=True)
    return scenarios.manifest(roc_auc=one, accuracy=one)


def baseline(folder: Path) -> Baseline:
    """A reference of 50,000 rows, and a sample of 20,000 for the pictures."""
    rng = np.random.default_rng(0)
    columns = scenarios.table(50_000, rng)
    scores = scenarios.reference_of({"score": rng.random(50_000)}).features
    reference = scenarios.reference_of(columns)
    reference = Reference(
        n_rows=50_000, n_predictions=50_000, features=reference.features, predictions=scores
    )
    sample = pl.DataFrame(scenarios.table(20_000, rng)).with_columns(
        score=rng.random(20_000), prediction=pl.lit("no"), label=pl.lit("no")
    )
    sample.write_parquet(folder / SAMPLE_FILE)
    return Baseline("loan", 1, "", folder, simulated(), reference)


def traffic_table(n: int, seed: int) -> pl.DataFrame:
    """Rows of a day as compaction stores them; numbers have the digits that people send."""
    rng = np.random.default_rng(seed)
    columns = scenarios.table(n, rng)
    scores = rng.random(n).round(6)
    return pl.DataFrame(
        {
            "prediction_id": [f"{seed:04x}-{i:012x}" for i in range(n)],
            "time": pl.Series(np.sort(rng.integers(0, DAY_US, n))).cast(pl.Duration("us")) + DAY,
            "version": np.ones(n, dtype=np.int64),
            "variant": pl.Series(["production"]).new_from_index(0, n).cast(pl.Categorical),
            "prediction": pl.Series(np.where(scores > 0.5, "yes", "no")).cast(pl.Categorical),  # noqa: PLR2004 - half
            "score": scores,
            "flags": pl.Series([None], dtype=pl.String).new_from_index(0, n),
            **{
                f"features.{name}": pl.Series(values.astype(np.float64).round(4))
                if values.dtype.kind == "f"
                else pl.Series(values).replace_strict(
                    {"true": True, "false": False}, return_dtype=pl.Boolean
                )
                if name == "owner"
                else pl.Series(values).cast(pl.Categorical)
                for name, values in columns.items()
            },
        }
    )


def write_day(layout: Layout, rows: int) -> None:
    """Write a compacted day of `rows` rows."""
    folder = layout.traffic("loan") / "2026-01-31"
    folder.mkdir(parents=True)
    names: list[str] = []
    for i in range(max(rows // FILE_ROWS, 1)):
        name = f"part-{i:016d}.parquet"
        if i < DISTINCT:
            table = traffic_table(min(rows, FILE_ROWS), i)
            table.write_parquet(folder / name, compression="lz4", row_group_size=250_000)
        else:
            (folder / name).hardlink_to(folder / names[i % DISTINCT])
        names.append(name)
    document = CompactionManifest(files=tuple(names), rows=rows)
    (folder / COMPACTION_FILE).write_bytes(document.write())


def judge_rows(folder: Path, rows: int) -> None:
    """From Parquet to the verdict, the page and Evidently's report."""
    layout, base = Layout(folder), baseline(folder)
    begin, begin_cpu = time.perf_counter(), time.process_time()
    counted = judgement.count(layout, base, SPAN, MonitoringSettings())
    read = time.perf_counter() - begin
    read_cpu = time.process_time() - begin_cpu
    verdict = judgement.judge(layout, base, SPAN, counted, MonitoringSettings(), NOW, ())
    evidently = evidently_report(verdict.findings, counted.sample.frame(), base.sample, 5_000)
    page = drift_report_html(
        verdict,
        histograms=[histogram_pair(f.column, counted.histograms) for f in verdict.findings],
        note=evidently.note,
    )
    took = time.perf_counter() - begin
    took_cpu = time.process_time() - begin_cpu
    cells = rows * len(base.reference.features)
    say(f"{rows:,} rows x 10 columns: {took:.1f} s with both pages (bar 60 s for 100 M)")
    say(f"  counted at {cells / read / 1e6:.0f} M cells/s (bar 30), verdict {verdict.decision}")
    say(f"  of processor time {took_cpu:.1f} s, {cells / read_cpu / 1e6:.0f} M cells/s")
    say(f"  page {len(page) / 1000:.0f} KB, Evidently's {len(evidently.html) / 1e6:.1f} MB")
    say(f"  peak memory {peak_gb():.2f} GB (bar 1)")


def join_labels(folder: Path, rows: int) -> None:
    """Predictions and labels, both compacted."""
    begin = time.perf_counter()
    found = realized_performance(Layout(folder), simulated(), 1, SPAN, now=NOW, alpha=0.01)
    took = time.perf_counter() - begin
    n_labels = rows * 7 // 10
    say(f"{rows:,} predictions x {n_labels:,} labels: {took:.1f} s (bar 10 s for 10 M x 7 M)")
    say(f"  {found.labels:,} joined, peak memory {peak_gb():.2f} GB (bar 1.5)")


def write_labels(layout: Layout, rows: int) -> None:
    """Labels of seven tenths of the predictions, compacted."""
    n_labels = rows * 7 // 10
    place = layout.labels("loan")
    place.mkdir(parents=True)
    rng = np.random.default_rng(1)
    ids = [
        pl.Series([f"{i % DISTINCT:04x}-{k:012x}" for k in range(FILE_ROWS * 7 // 10)])
        for i in range(DISTINCT)
    ]
    # As many labels as asked for; the copies of a file have the same ids, so new ones are made.
    names = []
    for i in range(max(n_labels * 10 // 7 // FILE_ROWS, 1)):
        mine = ids[i % DISTINCT] if i < DISTINCT else ids[0] + f"-{i}"
        table = pl.DataFrame(
            {
                "prediction_id": mine,
                "truth": pl.Series(rng.choice(["yes", "no"], len(mine))),
                "time": np.full(len(mine), int(END.timestamp() * 1e6)),
            }
        )
        names.append(f"part-{i:016d}.parquet")
        table.write_parquet(place / names[-1], compression="lz4")
    (place / COMPACTION_FILE).write_bytes(
        CompactionManifest(files=tuple(names), rows=n_labels).write()
    )


def read_day(folder: Path, rows: int) -> None:
    """A day as lines, compacted, and in Parquet."""
    layout, base = Layout(folder), baseline(folder)
    table = traffic_table(rows, 0)
    day = layout.traffic("loan") / "2026-01-31"
    day.mkdir(parents=True)
    features = [c for c in table.columns if c.startswith("features.")]
    records = [
        TrafficRecord(
            prediction_id=row["prediction_id"],
            time=f"{row['time']:%Y-%m-%dT%H:%M:%S.%f}Z",
            model="loan",
            version=1,
            features={
                c.removeprefix("features."): None if row[c] != row[c] else row[c] for c in features
            },
            prediction=row["prediction"],
            score=row["score"],
            scores={"no": 1 - row["score"], "yes": row["score"]},
        )
        for row in table.iter_rows(named=True)
    ]
    path = day / "000000-1.jsonl"
    path.write_bytes(msgspec.json.Encoder().encode_lines(records))
    os.utime(path, (DAY.timestamp(), DAY.timestamp()))
    del records, table
    strict = TypedColumns(base.reference).record_type
    lines = timed(lambda: sum(map(len, JsonlReader(strict).read(path))))
    theirs = timed(lambda: len(pl.read_ndjson(path)))
    counted = timed(lambda: judgement.count(layout, base, SPAN, MonitoringSettings()))
    folded = timed(lambda: compact_traffic(layout, "loan", now=NOW))
    after = timed(lambda: judgement.count(layout, base, SPAN, MonitoringSettings()))
    say(f"a day of {rows:,} rows: decoded in blocks {lines:.2f} s, polars' NDJSON {theirs:.2f} s")
    say(f"  read and counted from lines {counted:.2f} s, compacted in {folded:.1f} s")
    say(f"  read and counted after compaction {after:.2f} s (bar 0.6 s for 1 M)")


def timed(action: Callable[[], object]) -> float:
    """Seconds that an action takes."""
    begin = time.perf_counter()
    action()
    return time.perf_counter() - begin


def peak_gb() -> float:
    """The most memory that this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def say(line: str) -> None:
    """A line of the report."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def write_for(name: str, folder: Path, rows: int) -> None:
    """Write what a case reads, in a process of its own, so that its memory is not counted."""
    if name in {"rows", "labels"}:
        write_day(Layout(folder), rows)
    if name == "labels":
        write_labels(Layout(folder), rows)


CASES: dict[str, tuple[Callable[[Path, int], None], int]] = {
    "day": (read_day, 1_000_000),
    "labels": (join_labels, 10_000_000),
    "rows": (judge_rows, 100_000_000),
}


def main() -> None:
    """Run the cases, one after the other."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=CASES, action="append")
    parser.add_argument("--rows", type=int, default=0)
    parser.add_argument("--folder", type=Path, default=None)
    arguments = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    for name in arguments.only or CASES:
        case, rows = CASES[name]
        with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
            n = arguments.rows or rows
            steps = ((write_for, (name, Path(folder), n)), (case, (Path(folder), n)))
            for step, given in steps:
                process = context.Process(target=step, args=given)
                process.start()
                process.join()


if __name__ == "__main__":
    main()
