"""The files of an input: one file, a folder, or a dataset partitioned by folders (`key=value`)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Literal
from urllib.parse import unquote

from pyarrow import fs

from contracts.errors import InvalidData
from services.batch.row_ids import RowSource
from services.batch.storage import Storage, asking, not_found

FileFormat = Literal["parquet", "csv", "jsonl"]
SUFFIXES: Mapping[str, FileFormat] = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".csv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
}
COMPRESSIONS: Mapping[str, str] = {".gz": "gzip", ".zst": "zstd", ".bz2": "bz2"}
"""Suffixes of compressed CSV and JSON lines files, and what Arrow calls the compression."""
HIDDEN = ("_", ".")
"""Files and folders with these prefixes are not data: markers, checksums, temporary files."""
NULL_PARTITION = "__HIVE_DEFAULT_PARTITION__"
FINGERPRINT_BYTES = 65_536


@dataclass(frozen=True)
class InputFile:
    """A file to score: where it is, its path within the input, and its columns from folders."""

    location: str
    path: str
    size_bytes: int
    format: FileFormat
    partitions: Mapping[str, str | None] = field(default_factory=dict)


def input_files(storage: Storage, text: str) -> list[InputFile]:
    """The files of an input in the order of their paths; `text` is the argument, for errors.

    Raises:
        NotFoundHere: there is nothing, or no file.
        InvalidData: a file is neither Parquet nor CSV nor JSON lines, or the input is no file.

    """
    info = storage.info(storage.root)
    if info.type == fs.FileType.File:
        return [input_file(info.path, storage.root.rpartition("/")[2], info.size)]
    if info.type == fs.FileType.NotFound:
        raise not_found(text)
    if info.type != fs.FileType.Directory:
        raise InvalidData(
            f"{text}: expected a file or a folder, got a pipe, a socket or a device",
            remedy="write its contents to a file first",
        )
    found = [
        input_file(each.path, path, each.size)
        for each in storage.listed(storage.root)
        if not _is_hidden(path := each.path.removeprefix(f"{storage.root}/"))
    ]
    if not found:
        raise not_found(f"{text}/*.parquet")
    return found


def format_of(path: str) -> FileFormat | None:
    """The format that a path's suffix names; None for another one, and for compressed Parquet."""
    name = path.rpartition("/")[2]
    suffix = next((each for each in COMPRESSIONS if name.endswith(each)), "")
    name = name.removesuffix(suffix)
    kind = next((kind for end, kind in SUFFIXES.items() if name.endswith(end)), None)
    return None if suffix and kind == "parquet" else kind


def compression_of(path: str) -> str | None:
    """The compression that a path's suffix names, as Arrow calls it."""
    return next((name for end, name in COMPRESSIONS.items() if path.endswith(end)), None)


def row_source(storage: Storage, file: InputFile) -> RowSource:
    """What the ids of a file's rows derive from.

    The fingerprint hashes the size, the beginning and the end of the file (a Parquet file has the
    places and statistics of its columns there). So the same name with other contents, such as
    tomorrow's file, gives other ids.

    Raises:
        InvalidData: the file was removed meanwhile.
        StorageUnreachable: it cannot be read.

    """
    fingerprint = blake2b(b"%d\n" % file.size_bytes, digest_size=16)
    try:
        with asking(file.location), storage.filesystem.open_input_file(file.location) as stream:
            fingerprint.update(stream.read(FINGERPRINT_BYTES))
            if file.size_bytes > FINGERPRINT_BYTES:
                stream.seek(max(FINGERPRINT_BYTES, file.size_bytes - FINGERPRINT_BYTES))
                fingerprint.update(stream.read(FINGERPRINT_BYTES))
    except FileNotFoundError as err:
        raise InvalidData(
            f"{file.location}: it was removed after this run had listed the input",
            remedy="run the command again: the files that are finished are skipped",
        ) from err
    return RowSource(file.path, fingerprint.hexdigest())


def input_file(location: str, path: str, size_bytes: int) -> InputFile:
    """A file of the input by its location and its path within the input.

    Raises:
        InvalidData: its name says neither Parquet nor CSV nor JSON lines.

    """
    kind = format_of(path)
    if kind is None:
        raise InvalidData(
            f"{location}: expected a file named {', '.join(SUFFIXES)}, got another name",
            remedy="rename it, or begin its name with _ to have it ignored",
        )
    return InputFile(location, path, size_bytes, kind, _partitions(path.split("/")[:-1]))


def _partitions(folders: Sequence[str]) -> dict[str, str | None]:
    """The columns that folders such as `region=north` stand for."""
    pairs = [folder.partition("=") for folder in folders if "=" in folder]
    return {
        unquote(key): None if value == NULL_PARTITION else unquote(value) for key, _, value in pairs
    }


def _is_hidden(path: str) -> bool:
    return any(part.startswith(HIDDEN) for part in path.split("/"))
