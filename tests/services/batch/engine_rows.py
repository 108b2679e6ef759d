"""`python -m tests.services.batch.engine_rows ENGINE VAR MODEL INPUT OUTPUT`: one run of an engine.

It is a program, because Ray must run in a network namespace of its own: it listens on every
address of the machine. OUTPUT is a Parquet file with the rows in the order of file and row.
"""

import os
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from contracts.manifest import Pointer
from contracts.names import Layout
from services.batch.file_scoring import FileScorer


def scorer_of(var: Path, name: str, source: Path, keep: tuple[str, ...] = ()) -> FileScorer:
    pointer = Pointer.read(Layout(var).pointer(name).read_bytes())
    return FileScorer(str(source), Layout(var).model(name, pointer.version), pointer, keep)


def spark_rows(scorer: FileScorer) -> pa.Table:
    from pyspark.sql import SparkSession

    from services.batch.spark import score_with_spark

    os.environ["SPARK_LOCAL_IP"] = "127.0.0.1"
    os.environ["PYSPARK_PYTHON"] = os.environ["PYSPARK_DRIVER_PYTHON"] = sys.executable
    builder: Any = SparkSession.builder
    session = (
        builder.master("local[2]")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.ui.enabled", "false")
        .config("spark.sql.shuffle.partitions", "2")
        .getOrCreate()
    )
    try:
        return score_with_spark(session, scorer).toArrow()
    finally:
        session.stop()


def ray_rows(scorer: FileScorer) -> pa.Table:
    import ray

    from services.batch.ray import score_with_ray

    ray.init(num_cpus=4, include_dashboard=False, object_store_memory=200 << 20)
    try:
        return pa.concat_tables(ray.get(score_with_ray(scorer).to_arrow_refs()))
    finally:
        ray.shutdown()


ENGINES = {"spark": spark_rows, "ray": ray_rows}


def main() -> None:
    engine, var, name, source, output = sys.argv[1:]
    rows = ENGINES[engine](scorer_of(Path(var), name, Path(source)))
    pq.write_table(rows.sort_by([("file", "ascending"), ("row", "ascending")]), output)


if __name__ == "__main__":
    main()
