"""What is written of one file of input, all of it or nothing."""

from contracts.scored_output import ScoredFile, ScoredOutput
from services.batch.file_batches import FileBatch
from services.batch.input_files import FileFormat, InputFile
from services.batch.output import OutputPaths
from services.batch.progress import ScoringProgress
from services.batch.row_ids import RowSource
from services.batch.scorer import ScoredBatch
from services.batch.writers import UnfinishedFile

TRAFFIC_FILE_ROWS = 1_000_000
"""Monitoring reads a file of traffic as a whole."""


class WrittenFile:
    """What is written of one file of input: predictions, rejected rows, traffic."""

    def __init__(
        self, paths: OutputPaths, run: ScoredOutput, file: InputFile, progress: ScoringProgress
    ) -> None:
        self._paths, self._run, self._file, self._progress = paths, run, file, progress
        self._predictions = self._new(paths.predictions(file), paths.format)
        self._rejected = self._new(paths.rejected(file), "jsonl")
        self._traffic: list[UnfinishedFile] = []
        self._traffic_rows = TRAFFIC_FILE_ROWS
        self._rows = self._n_rejected = 0

    def add(self, read: FileBatch, scored: ScoredBatch) -> None:
        """Write the results of a batch, and count its rows."""
        n_scored = scored.predictions.num_rows
        self._predictions.write(scored.predictions)
        if scored.rejected.num_rows:
            self._rejected.write(scored.rejected)
        if scored.traffic is not None and n_scored:
            self._traffic_file(n_scored).write(scored.traffic)
        self._rows += read.n_rows
        self._n_rejected += read.n_rows - n_scored
        self._progress.scored_rows += read.n_rows
        self._progress.rejected += read.n_rows - n_scored

    def finish(self) -> None:
        """Write everything; no name has changed yet."""
        for file in self._all():
            file.finish()

    def commit(self, source: RowSource) -> ScoredFile:
        """Give everything its name, and write the record by which the file is finished."""
        for file in self._all():
            file.commit()
        record = ScoredFile(
            path=source.path,
            fingerprint=source.fingerprint,
            size_bytes=self._file.size_bytes,
            rows=self._rows,
            rejected=self._n_rejected,
            predictions=self._predictions.path,
            traffic=tuple(self._traffic_name(i) for i in range(len(self._traffic))),
        )
        path = self._paths.record(self._file)
        self._paths.storage.write_whole(path, record.write_pretty())
        return record

    def discard(self) -> None:
        """Remove everything that was written."""
        for file in self._all():
            file.discard()

    def _new(self, path: str, kind: FileFormat) -> UnfinishedFile:
        return UnfinishedFile(self._paths.storage, path, kind, self._paths.details)

    def _all(self) -> list[UnfinishedFile]:
        return [*self._traffic, self._rejected, self._predictions]

    def _traffic_file(self, n_rows: int) -> UnfinishedFile:
        """The file of traffic for the next rows: a new one after a million."""
        if self._traffic_rows + n_rows > TRAFFIC_FILE_ROWS:
            name = self._traffic_name(len(self._traffic))
            path = f"{self._paths.traffic(self._run)}/{name}"
            self._traffic.append(self._new(path, "parquet"))
            self._traffic_rows = 0
        self._traffic_rows += n_rows
        return self._traffic[-1]

    def _traffic_name(self, number: int) -> str:
        return f"{self._file.path}-{number:05}.parquet"
