"""Where files are: a folder of this machine, or a bucket of an S3-compatible store."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pyarrow as pa
from pyarrow import fs

from contracts.errors import InvalidUsage, NotFoundHere, PlatformError, first_line
from contracts.files import FILE_MODE, flush, make_folder, temporary_path, unwritable

S3 = "s3://"
ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
"""Variables that name an S3-compatible store other than Amazon's, the first one first."""
S3_CONNECT_TIMEOUT_S = 5.0
S3_REQUEST_TIMEOUT_S = 60.0
MAX_S3_TRIES = 4


class StorageUnreachable(PlatformError):
    """A store does not answer, or refuses."""


@dataclass(frozen=True)
class Storage:
    """A folder or file and the filesystem that it is in; `root` is its path there."""

    filesystem: Any
    root: str
    is_local: bool

    def path(self, *parts: str) -> str:
        """The path of something below the root."""
        return "/".join([self.root, *filter(None, parts)])

    def info(self, path: str) -> Any:
        """The `pyarrow.fs.FileInfo` of a path.

        Raises:
            StorageUnreachable: the store does not answer, or refuses.

        """
        with asking(path):
            return self.filesystem.get_file_info(path)

    def listed(self, path: str) -> list[Any]:
        """The `FileInfo` of all files below a folder, by path; none if there is no such folder."""
        selector = fs.FileSelector(path, allow_not_found=True, recursive=True)
        with asking(path):
            found = self.filesystem.get_file_info(selector)
        files = [info for info in found if info.type == fs.FileType.File]
        return sorted(files, key=lambda info: str(info.path))

    def read(self, path: str) -> bytes | None:
        """The contents of a file; None if there is none.

        Raises:
            StorageUnreachable: the store does not answer, or refuses.

        """
        with asking(path), suppress(FileNotFoundError):
            with self.filesystem.open_input_stream(path, compression=None) as stream:
                contents: bytes = stream.read()
            return contents
        return None

    def temporary(self, folder: str) -> str:
        """A path in a folder for a file that is still being written."""
        return f"{folder}/{temporary_path(Path(folder)).name}"

    def open_new(self, path: str, compression: str | None = None) -> Any:
        """A stream to a new file, compressed with `gzip`, `zstd` or `bz2`; makes its folder."""
        if self.is_local:
            make_folder(Path(path).parent)
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, FILE_MODE))
        return self.filesystem.open_output_stream(path, compression=compression)

    def put_in_place(self, temporary: str, path: str) -> None:
        """Give a written file its name; whoever looks sees all of it or nothing."""
        if self.is_local:
            flush(Path(temporary))
            make_folder(Path(path).parent)
            Path(temporary).replace(path)
        else:
            self.filesystem.move(temporary, path)

    def write_whole(self, path: str, data: bytes) -> None:
        """Replace the contents of a file.

        Raises:
            Unwritable: it cannot be written; its old contents are unchanged.

        """
        temporary = self.temporary(path.rpartition("/")[0])
        with writing(path):
            with self.open_new(temporary) as stream:
                stream.write(data)
            self.put_in_place(temporary, path)

    def remove(self, path: str) -> None:
        """Remove a file if it is there."""
        if self.info(path).type == fs.FileType.File:
            self.filesystem.delete_file(path)

    def remove_folder(self, path: str) -> None:
        """Remove a folder with everything in it if it is there."""
        if self.info(path).type == fs.FileType.Directory:
            self.filesystem.delete_dir(path)


def open_storage(text: str, environ: Mapping[str, str] = os.environ) -> Storage:
    """The storage that an argument of the command line names: a path, or `s3://bucket/path`.

    Raises:
        InvalidUsage: it is an address of another kind.

    """
    if text.startswith(S3):
        return Storage(_s3(environ), text.removeprefix(S3).rstrip("/"), is_local=False)
    if "://" in text:
        raise InvalidUsage(
            f"{text}: expected a path or {S3}bucket/path", remedy="copy the files to one of them"
        )
    return Storage(fs.LocalFileSystem(), str(_named_path(text)), is_local=True)


def _named_path(text: str) -> Path:
    """An absolute path without `..`, whose last part is as typed: ids depend on the file's name."""
    path = Path(text)
    if path.name in ("", ".."):
        return path.resolve()
    return path.parent.resolve() / path.name


def _s3(environ: Mapping[str, str]) -> Any:
    """An S3 filesystem; credentials and region come from the environment, as AWS defines them."""
    endpoint = next((environ[name] for name in ENDPOINTS if environ.get(name)), "")
    options: dict[str, Any] = {
        "connect_timeout": S3_CONNECT_TIMEOUT_S,
        "request_timeout": S3_REQUEST_TIMEOUT_S,
        "retry_strategy": fs.AwsStandardS3RetryStrategy(max_attempts=MAX_S3_TRIES),
    }
    if endpoint:
        url = urlsplit(endpoint if "://" in endpoint else f"https://{endpoint}")
        options |= {"endpoint_override": url.netloc, "scheme": url.scheme}
    region = environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION")
    if region or endpoint:
        options["region"] = region or "us-east-1"
    return fs.S3FileSystem(**options)


@contextmanager
def asking(path: str) -> Iterator[None]:
    """Turn the errors of reading a path into ours; a missing file stays a FileNotFoundError.

    Raises:
        StorageUnreachable: the store does not answer, or refuses.

    """
    try:
        yield
    except FileNotFoundError:
        raise
    except (OSError, pa.ArrowException) as err:
        raise StorageUnreachable(
            f"{path}: expected to be read, got {first_line(err)[:300]}",
            remedy=f"check the path, its rights, the credentials AWS_..., and {ENDPOINTS[0]}",
        ) from err


@contextmanager
def writing(path: str) -> Iterator[None]:
    """Turn the errors of writing a path into ours.

    Raises:
        Unwritable: it cannot be written.

    """
    try:
        yield
    except (OSError, pa.ArrowException) as err:
        reason = getattr(err, "strerror", None) or first_line(err)[:300]
        raise unwritable(Path(path), reason) from err


def not_found(text: str) -> NotFoundHere:
    """The error for an input that does not exist."""
    return NotFoundHere(
        f"{text}: expected a file or a folder, got nothing", remedy="check the path"
    )
