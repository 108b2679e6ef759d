"""Scoring files on Spark: `mapInArrow` over the files of an input.

Each file is scored by one task, with the reader and the scorer of `slipway score`. A task that is
killed is run again by Spark, and gives the same rows with the same ids.
"""

from collections.abc import Iterator
from typing import Any

from services.batch.file_scoring import FILE_SCHEMA, FileScorer


def score_with_spark(session: Any, scorer: FileScorer) -> Any:
    """A Spark DataFrame with a row for each row of the input: its prediction, or its violations.

    `session` is a `SparkSession`. It is lazy, as Spark's are: write it, or collect it. The model
    directory and the input are read by the executors, at the same paths as here.

    Raises:
        NotFoundHere: there is no file.
        CorruptModel: the model directory is not what was registered.

    """
    from pyspark.sql.pandas.types import from_arrow_schema

    files = scorer.files()
    frame = session.createDataFrame(files.to_pylist(), schema=from_arrow_schema(FILE_SCHEMA))
    # A partition per file: what one task scores, and scores again if it is killed.
    spread = frame.repartitionByRange(files.num_rows, "path")

    def score(batches: Iterator[Any]) -> Iterator[Any]:
        for batch in batches:
            yield from scorer.score(batch)

    return spread.mapInArrow(score, schema=from_arrow_schema(scorer.schema()))
