"""Scores the files of an input on one machine: reads ahead, scores in threads, writes in order.

A file is finished or absent. Its predictions, rejected rows and traffic are written under
temporary names, renamed, and then its record is written; a run that is started again skips the
files that have a record. Arrow, NumPy and onnxruntime release Python's lock, so threads use all
cores; in processes the batches would have to be copied.
"""

import os
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from contracts.errors import InvalidData, TooManyRejected
from contracts.manifest import Pointer
from contracts.scored_output import ScoredFile, ScoredOutput
from contracts.times import utc_text
from services.batch.file_batches import FileBatch, WantedColumns
from services.batch.input_files import FileFormat, InputFile, input_files, row_source
from services.batch.output import (
    OutputPaths,
    begin_output,
    check_apart,
    check_kept,
    check_places,
    end_output,
    finished_file,
    output_lock,
    output_paths,
)
from services.batch.progress import ScoringProgress, ShowProgress
from services.batch.readers import read_file, total_rows
from services.batch.row_ids import RowSource
from services.batch.scorer import RecordBatchScorer, ScoredBatch
from services.batch.storage import Storage, open_storage
from services.batch.tables import prediction_names
from services.batch.written_file import WrittenFile
from services.inference.loader import load_manifest

BATCHES_AHEAD = 2
"""Batches per thread that are read but not yet written."""
EARLY_ROWS = 100_000
"""Where the number of rows is not known before, the share of rejected rows is judged from here."""


@dataclass(frozen=True)
class ScoringOptions:
    """What to score, and where it goes.

    `input` and `output` are paths or `s3://bucket/path`. `keep`: columns of the input that are
    kept. `format`: of the predictions; None for that of the output's suffix. `max_rejected`: the
    largest share of rejected rows; None for any. `with_traffic`: also write records for
    monitoring. `overwrite`: remove what another run left in the output. `n_threads`: 0 for one
    per core.
    """

    input: str
    output: str
    keep: Sequence[str] = ()
    format: FileFormat | None = None
    max_rejected: float | None = None
    with_traffic: bool = True
    overwrite: bool = False
    n_threads: int = 0


@dataclass(frozen=True)
class _Run:
    """What the steps of a run share."""

    inputs: Storage
    paths: OutputPaths
    manifest: ScoredOutput
    scorer: RecordBatchScorer
    wanted: WantedColumns
    progress: ScoringProgress
    report: ShowProgress
    max_rejected: float | None
    n_threads: int
    done: list[ScoredFile] = field(default_factory=list)


def score_files(
    directory: Path, pointer: Pointer, options: ScoringOptions, report: ShowProgress
) -> ScoredOutput:
    """Score all files of an input that are not scored yet; gives the manifest of the output.

    Raises:
        CorruptModel: the model directory is not what was registered.
        NotFoundHere: there is no input.
        InvalidData: a file cannot be read, has not the model's columns, or has changed.
        InvalidUsage: the output is of another version or input, or not ours.
        TooManyRejected: more rows were rejected than `max_rejected` allows.
        StorageUnreachable: a store does not answer.
        Unwritable: the output cannot be written; what is finished stays.

    """
    inputs, outputs = open_storage(options.input), open_storage(options.output)
    files = input_files(inputs, options.input)
    is_file = len(files) == 1 and files[0].location == inputs.root
    check_apart(inputs, outputs)
    paths = output_paths(outputs, options.output, options.format, files, is_file=is_file)
    check_places(paths, files)
    check_kept(options.keep, prediction_names(load_manifest(directory, pointer)))
    n_threads = options.n_threads or len(os.sched_getaffinity(0))
    with output_lock(paths):
        manifest = _begin(pointer, options, paths)
        scorer = RecordBatchScorer(
            directory, pointer, options.keep, manifest.started_at, options.with_traffic, n_threads
        )
        try:
            schema = scorer.served.manifest.schema
            progress = ScoringProgress(len(files), sum(file.size_bytes for file in files))
            if options.max_rejected is not None:
                progress.total_rows = total_rows(inputs, files)
            run = _Run(
                inputs,
                paths,
                manifest,
                scorer,
                WantedColumns(schema, tuple(options.keep)),
                progress,
                report,
                options.max_rejected,
                n_threads,
            )
            _score_all(run, files)
        finally:
            scorer.close()
        return end_output(paths, manifest, run.done, utc_text(datetime.now(UTC)))


def _begin(pointer: Pointer, options: ScoringOptions, paths: OutputPaths) -> ScoredOutput:
    wanted = ScoredOutput(
        model=pointer.name,
        version=pointer.version,
        digest=pointer.digest,
        input=options.input,
        format=paths.format,
        keep=tuple(options.keep),
        with_traffic=options.with_traffic,
        started_at=utc_text(datetime.now(UTC)),
    )
    return begin_output(paths, wanted, overwrite=options.overwrite)


def _score_all(run: _Run, files: Sequence[InputFile]) -> None:
    with ThreadPoolExecutor(run.n_threads, "scoring") as pool:
        for file in files:
            source = row_source(run.inputs, file)
            record = _finished(run, file, source)
            if record is None:
                record = _score_file(run, file, source, pool)
            else:
                run.progress.skipped_rows += record.rows
                run.progress.rejected += record.rejected
                _check_rejected(run, is_whole=_is_last(run))
            run.done.append(record)
            run.progress.finished_files += 1
            run.progress.finished_bytes += file.size_bytes
            run.progress.share = run.progress.finished_bytes / max(run.progress.total_bytes, 1)
            run.report(run.progress)


def _finished(run: _Run, file: InputFile, source: RowSource) -> ScoredFile | None:
    """The record of a file that was scored before.

    Raises:
        InvalidData: the file was another one then.

    """
    record = finished_file(run.paths, file)
    if record is not None and record.fingerprint != source.fingerprint:
        raise InvalidData(
            f"{file.location}: it has changed since it was scored",
            remedy="choose another output, or --overwrite this one to score everything again",
        )
    return record


def _score_file(
    run: _Run, file: InputFile, source: RowSource, pool: ThreadPoolExecutor
) -> ScoredFile:
    written = WrittenFile(run.paths, run.manifest, file, run.progress)
    try:
        batches = read_file(run.inputs, file, run.wanted)
        for read, scored in _in_order(run, batches, source, pool):
            written.add(read, scored)
            done = run.progress.finished_bytes + read.done * file.size_bytes
            run.progress.share = done / max(run.progress.total_bytes, 1)
            run.report(run.progress)
            _check_rejected(run, is_whole=False)
        written.finish()
        _check_rejected(run, is_whole=_is_last(run))
    except BaseException:
        written.discard()
        raise
    return written.commit(source)


def _in_order(
    run: _Run, batches: Iterator[FileBatch], source: RowSource, pool: ThreadPoolExecutor
) -> Iterator[tuple[FileBatch, ScoredBatch]]:
    """Batches with their scores, in the order of the file; a few are scored at the same time."""
    waiting: deque[tuple[FileBatch, Future[ScoredBatch]]] = deque()
    try:
        for read in batches:
            scored = pool.submit(run.scorer.score, read.batch, source, read.rows, read.known)
            waiting.append((read, scored))
            if len(waiting) > run.n_threads * BATCHES_AHEAD:
                first, scores = waiting.popleft()
                yield first, scores.result()
        while waiting:
            first, scores = waiting.popleft()
            yield first, scores.result()
    finally:
        for _, scores in waiting:
            scores.cancel()


def _is_last(run: _Run) -> bool:
    """Whether the file at hand is the last one."""
    return run.progress.finished_files + 1 == run.progress.n_files


def _check_rejected(run: _Run, *, is_whole: bool) -> None:
    """Stop if more rows are rejected than allowed, whatever the remaining rows are like.

    Where the number of rows is not known, the share so far is judged once it means something.

    Raises:
        TooManyRejected: they are.

    """
    progress = run.progress
    if run.max_rejected is None or (
        progress.total_rows is None and not is_whole and progress.rows < EARLY_ROWS
    ):
        return
    n_rows = progress.rows if progress.total_rows is None or is_whole else progress.total_rows
    if progress.rejected > run.max_rejected * n_rows:
        raise TooManyRejected(
            f"rejected rows: expected at most {run.max_rejected:.4g} of them, got "
            f"{progress.rejected:,} of {progress.rows:,}",
            remedy="see what is wrong with them in rejected/ of the files that were finished, or "
            "score without --max-rejected to see all",
        )
