"""Scoring files on Ray Data: `map_batches` with a pool of actors over the files of an input.

Each actor opens the model once, and scores files with the reader and the scorer of
`slipway score`. A file whose actor was killed is scored again by another, with the same ids.
"""

from collections.abc import Iterator
from typing import Any

from services.batch.file_scoring import FileScorer

FILES_PER_CALL = 1
ACTOR_CPUS = 0.5
"""Less than one, so that a small cluster has CPUs left for reading."""
MAX_TRIES = 3


class _ScoringActor:
    """Holds a scorer, whose model is opened once."""

    def __init__(self, scorer: FileScorer) -> None:
        self._scorer = scorer

    def __call__(self, files: Any) -> Iterator[Any]:
        """Tables of the results of some files."""
        import pyarrow as pa

        for part in files.to_batches():
            for batch in self._scorer.score(part):
                yield pa.Table.from_batches([batch])


def score_with_ray(scorer: FileScorer, n_actors: int = 2) -> Any:
    """A Ray Dataset with a row for each row of the input: its prediction, or its violations.

    It is lazy, as Ray's are: write it, or take its rows. The model directory and the input are
    read by the actors, at the same paths as here.

    Raises:
        NotFoundHere: there is no file.
        InvalidData: a file is neither Parquet nor CSV nor JSON lines.

    """
    import ray.data

    files = scorer.files()
    spread = ray.data.from_arrow(files).repartition(files.num_rows)
    return spread.map_batches(
        _ScoringActor,
        fn_constructor_args=(scorer,),
        batch_size=FILES_PER_CALL,
        batch_format="pyarrow",
        compute=ray.data.ActorPoolStrategy(size=n_actors),
        num_cpus=ACTOR_CPUS,
        max_restarts=MAX_TRIES,
        max_task_retries=MAX_TRIES,
    )
