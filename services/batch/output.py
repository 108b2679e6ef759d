"""The folder of an output: where its files are, and whether a run may continue there."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pyarrow.fs import FileType

from contracts.compaction import COMPACTION_FILE, CompactionManifest
from contracts.errors import InvalidDocument, InvalidUsage, PlatformError
from contracts.files import TEMPORARY_PREFIX, try_lock
from contracts.scored_output import SCORED_FILE, TRAFFIC_FOLDER, ScoredFile, ScoredOutput
from services.batch.input_files import FileFormat, InputFile, compression_of, format_of
from services.batch.storage import Storage

PREDICTIONS = "predictions"
REJECTED = "rejected"
FILE_RECORDS = "files"
DETAILS_SUFFIX = ".details"
"""Suffix of the folder next to an output that is one file: its rejected rows, its manifest."""
OURS = (PREDICTIONS, REJECTED, FILE_RECORDS, TRAFFIC_FOLDER)
"""The folders that a run makes, and removes where it may overwrite them."""
LOCK_NAME = ".lock"
_DAY = re.compile(r"\d{4}-\d\d-\d\d")


@dataclass(frozen=True)
class OutputPaths:
    """Where the files of an output are; `single` if the output is one file of predictions."""

    storage: Storage
    format: FileFormat
    single: bool

    @property
    def details(self) -> str:
        """The folder of everything but the predictions."""
        return self.storage.root + (DETAILS_SUFFIX if self.single else "")

    @property
    def manifest(self) -> str:
        """The `ScoredOutput`."""
        return f"{self.details}/{SCORED_FILE}"

    def predictions(self, file: InputFile) -> str:
        """The predictions of a file: named like it, with a suffix where the format differs."""
        if self.single:
            return self.storage.root
        suffix = "" if file.path.endswith(f".{self.format}") else f".{self.format}"
        return self.storage.path(PREDICTIONS, file.path + suffix)

    def rejected(self, file: InputFile) -> str:
        """The rejected rows of a file."""
        suffix = "" if file.path.endswith(".jsonl") else ".jsonl"
        return f"{self.details}/{REJECTED}/{file.path}{suffix}"

    def record(self, file: InputFile) -> str:
        """The `ScoredFile` of a file."""
        return f"{self.details}/{FILE_RECORDS}/{file.path}.json"

    def traffic(self, output: ScoredOutput) -> str:
        """The folder of the records of traffic: that of the day on which the run was started."""
        return f"{self.details}/{TRAFFIC_FOLDER}/{output.model}/{output.started_at[:10]}"


def output_paths(
    storage: Storage, text: str, wanted: FileFormat | None, files: list[InputFile], *, is_file: bool
) -> OutputPaths:
    """Where an output goes; its format is the wanted one, or that of its suffix, or Parquet.

    Raises:
        InvalidUsage: a folder of input for one file of output, or a file of no format.

    """
    named = format_of(text)
    if named is None and compression_of(text):
        raise InvalidUsage(
            f"{text}: expected .csv or .jsonl before the suffix of the compression",
            remedy="Parquet is compressed already: leave the suffix out",
        )
    if named is not None and not is_file:
        raise InvalidUsage(
            f"{text}: expected a folder for the {len(files)} files of the input, got one file",
            remedy=f"{text.rpartition('.')[0]} --format {named}",
        )
    if named is not None and wanted not in (None, named):
        raise InvalidUsage(
            f"{text}: expected a name that ends with .{wanted}, got .{named}",
            remedy="leave out --format, or rename the output",
        )
    return OutputPaths(storage, wanted or named or "parquet", single=named is not None)


def check_apart(inputs: Storage, outputs: Storage) -> None:
    """Refuse an output within the input, and an input within the output.

    A second run would score what the first one wrote, or remove its own input.

    Raises:
        InvalidUsage: one is within the other.

    """
    if inputs.is_local != outputs.is_local:
        return
    source, target = (f"{_real(each)}/" for each in (inputs, outputs))
    if target.startswith(source):
        raise InvalidUsage(
            f"{outputs.root}: expected an output outside of the input, got one within the input",
            remedy="choose a folder next to it",
        )
    if source.startswith(target):
        raise InvalidUsage(
            f"{outputs.root}: expected an output that does not hold the input, got a folder with "
            f"{inputs.root}",
            remedy="choose a folder next to it",
        )


def check_places(paths: OutputPaths, files: Sequence[InputFile]) -> None:
    """Refuse files of input whose predictions or rejected rows would have one name.

    With Parquet, `a.csv` and `a.csv.parquet` both give `predictions/a.csv.parquet`.

    Raises:
        InvalidUsage: naming two of them.

    """
    if paths.single:
        return
    taken: dict[str, InputFile] = {}
    for file in files:
        for path in (paths.predictions(file), paths.rejected(file)):
            if (other := taken.setdefault(path, file)) is not file:
                raise _same_name(other, file, path)
    for path, file in taken.items():
        for folder in map(str, Path(path).parents):
            if (other := taken.get(folder, file)) is not file:
                raise _same_name(other, file, folder)


def _same_name(first: InputFile, second: InputFile, path: str) -> InvalidUsage:
    return InvalidUsage(
        f"{first.path} and {second.path}: expected outputs of different names, got {path} for both",
        remedy="rename one of them, or score them into two outputs",
    )


def _real(storage: Storage) -> str:
    """The root without symbolic links."""
    return str(Path(storage.root).resolve()) if storage.is_local else storage.root


def check_kept(keep: Sequence[str], names: Sequence[str]) -> None:
    """Refuse to keep columns with names of the output's own, or one twice.

    Raises:
        InvalidUsage: naming the column.

    """
    for name in keep:
        if name in names or list(keep).count(name) > 1:
            raise InvalidUsage(
                f"--keep {name}: expected each column once, and none of {', '.join(names)}",
                remedy="rename the column in the input",
            )


@contextmanager
def output_lock(paths: OutputPaths) -> Iterator[None]:
    """Let one run at a time write to an output; an object store has no locks.

    Raises:
        PlatformError: another run writes to it.

    """
    if not paths.storage.is_local:
        yield
        return
    with try_lock(Path(paths.details) / LOCK_NAME) as descriptor:
        if descriptor is None:
            raise PlatformError(
                f"{paths.storage.root}: another run is writing to this output",
                remedy="wait until it ends, or choose another output",
            )
        yield


def begin_output(paths: OutputPaths, wanted: ScoredOutput, *, overwrite: bool) -> ScoredOutput:
    """The manifest of the run: that of an interrupted run which it continues, or a new one.

    Raises:
        InvalidUsage: the output is of another version, input or form, or is not ours at all.

    """
    found = _found_output(paths)
    if found is None:
        _check_empty(paths)
    elif not overwrite and _differences(found, wanted):
        _check_unused(paths, found, wanted)
    elif not overwrite:
        _remove_temporary(paths)
        return found
    for folder in OURS:
        paths.storage.remove_folder(f"{paths.details}/{folder}")
    if paths.single:
        paths.storage.remove(paths.storage.root)
    _remove_temporary(paths)
    paths.storage.write_whole(paths.manifest, wanted.write_pretty())
    return wanted


def finished_file(paths: OutputPaths, file: InputFile) -> ScoredFile | None:
    """The record of a file that is scored already; None if it is not."""
    data = paths.storage.read(paths.record(file))
    if data is None or paths.storage.info(paths.predictions(file)).type != FileType.File:
        return None
    try:
        return ScoredFile.read(data)
    except InvalidDocument:
        return None


def end_output(
    paths: OutputPaths, run: ScoredOutput, files: list[ScoredFile], finished_at: str
) -> ScoredOutput:
    """Write that all files are scored, and which files of traffic count."""
    if run.with_traffic:
        names = tuple(name for file in files for name in file.traffic)
        rows = sum(file.rows - file.rejected for file in files)
        compacted = CompactionManifest(files=names, rows=rows)
        path = f"{paths.traffic(run)}/{COMPACTION_FILE}"
        paths.storage.write_whole(path, compacted.write_pretty())
    ended = ScoredOutput(
        model=run.model,
        version=run.version,
        digest=run.digest,
        input=run.input,
        format=run.format,
        keep=run.keep,
        with_traffic=run.with_traffic,
        started_at=run.started_at,
        finished_at=finished_at,
        files=len(files),
        rows=sum(file.rows for file in files),
        rejected=sum(file.rejected for file in files),
    )
    paths.storage.write_whole(paths.manifest, ended.write_pretty())
    return ended


def _found_output(paths: OutputPaths) -> ScoredOutput | None:
    """The manifest of the output; None if there is none.

    Raises:
        InvalidUsage: the file of that name is not a manifest of ours.

    """
    data = paths.storage.read(paths.manifest)
    try:
        return None if data is None else ScoredOutput.read(data, paths.manifest)
    except InvalidDocument as err:
        raise _not_ours(paths, paths.manifest) from err


def _differences(found: ScoredOutput, wanted: ScoredOutput) -> list[str]:
    """The arguments in which two runs differ."""
    names = ("model", "version", "digest", "input", "format", "keep", "with_traffic")
    return [name for name in names if getattr(found, name) != getattr(wanted, name)]


def _check_unused(paths: OutputPaths, found: ScoredOutput, wanted: ScoredOutput) -> None:
    """Refuse an output of another run, unless that run ended before it finished a file."""
    if set(_finished_names(paths)) - {paths.manifest}:
        name = _differences(found, wanted)[0]
        raise InvalidUsage(
            f"{paths.storage.root}: expected predictions of {name} {getattr(wanted, name)!r}, got "
            f"those of {getattr(found, name)!r}",
            remedy="choose another output, or --overwrite this one",
        )


def _check_empty(paths: OutputPaths) -> None:
    """Refuse a folder with files of others: nothing of them is ever removed."""
    if found := _finished_names(paths):
        raise _not_ours(paths, found[0])


def _finished_names(paths: OutputPaths) -> list[str]:
    """The files of an output that are neither temporary nor hidden."""
    found = [info.path for info in paths.storage.listed(paths.details)]
    if paths.single and paths.storage.read(paths.storage.root) is not None:
        found.append(paths.storage.root)
    return [
        path for path in found if not path.rpartition("/")[2].startswith((TEMPORARY_PREFIX, "."))
    ]


def _not_ours(paths: OutputPaths, stranger: str) -> InvalidUsage:
    return InvalidUsage(
        f"{paths.storage.root}: expected a new or empty output, or one of slipway score, got "
        f"{stranger}",
        remedy="choose another output",
    )


def _remove_temporary(paths: OutputPaths) -> None:
    """Remove the files that a killed run has not finished."""
    for info in paths.storage.listed(paths.details):
        if info.path.rpartition("/")[2].startswith(TEMPORARY_PREFIX):
            paths.storage.remove(info.path)
