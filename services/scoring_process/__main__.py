"""`python -m services.scoring_process DESCRIPTOR PARENT`: load one model and score batches.

It speaks frames (`contracts.scoring`) on a socket that it inherits, until the other end closes it
or the process PARENT has gone. For a worker it only loads the model, and forks copies of itself
that score; it runs no code of the model after loading, so it stays sound. What the model's code
prints goes to standard error.
"""

import contextlib
import ctypes
import gc
import os
import signal
import socket
import sys
import time
import traceback
from threading import Thread
from typing import Any, NoReturn, Protocol

import msgspec
from numpy.typing import NDArray

from contracts.errors import CorruptModel, PlatformError, first_line
from contracts.process_error import ProcessError
from contracts.scoring import (
    Forked,
    FrameError,
    FrameKind,
    Loaded,
    LoadModel,
    memory_of,
    pack_matrix,
    receive_frame,
    send_frame,
    unpack_matrix,
)

NICENESS = 5
"""Below the worker, which answers the requests of all other models."""
PARENT_CHECK_S = 0.5
_PR_SET_PDEATHSIG = 1


class LoadedModel(Protocol):
    """A loaded model; `dtype` names the type of the matrix that it takes, None for rows."""

    dtype: str | None

    def score(self, kind: FrameKind, payload: bytes, /) -> NDArray[Any]:
        """The scores `(n_rows, n_outputs)` of a frame's rows; may raise anything."""


def main() -> None:
    """Answer frames until the socket is closed."""
    descriptor, parent = map(int, sys.argv[1:])
    # The worker closes the socket after its last answer; a signal to the group comes too early.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    # Feature code is imported from the model directory, which never changes.
    sys.dont_write_bytecode = True
    os.nice(NICENESS)
    _end_with(parent)
    with socket.socket(fileno=descriptor) as channel, contextlib.suppress(FrameError, OSError):
        _serve(channel)


def _serve(channel: socket.socket, model: LoadedModel | None = None) -> None:
    """Answer the frames of a socket; without a model, the first of them loads it."""
    while (frame := receive_frame(channel)) is not None:
        kind, payload = frame
        try:
            if kind is FrameKind.LOAD:
                model = _load(msgspec.json.decode(payload, type=LoadModel))
                send_frame(channel, FrameKind.LOADED, msgspec.json.encode(Loaded(model.dtype)))
            elif kind is FrameKind.FORK:
                _fork(channel, model)
            elif kind is FrameKind.END:
                _end(msgspec.json.decode(payload, type=int))
                send_frame(channel, FrameKind.ENDED)
            else:
                scores = _loaded(model).score(kind, payload)
                send_frame(channel, FrameKind.SCORES, *pack_matrix(scores, memory_of("self")))
        except PlatformError as err:
            send_frame(channel, FrameKind.FAILED, ProcessError.of(err).write())
        except (FrameError, OSError):
            raise
        except Exception as err:  # noqa: BLE001 - a model's code may raise anything
            text = f"{type(err).__name__}: {first_line(err)}"
            send_frame(channel, FrameKind.FAILED, ProcessError.of(PlatformError(text)).write())


def _loaded(model: LoadedModel | None) -> LoadedModel:
    if model is None:
        raise FrameError("expected a model to load first")
    return model


def _load(load: LoadModel) -> LoadedModel:
    """The model, with a remedy if it cannot be loaded.

    Raises:
        CorruptModel: a file differs, a library is missing, a type is not trusted, or the model
            does not load.

    """
    try:
        if load.runtime == "sklearn":
            from services.scoring_process.fitted_pipeline import FittedPipeline

            return FittedPipeline(load)
        return _OnnxGraph(load)
    except PlatformError:
        raise
    except Exception as err:
        raise CorruptModel(
            f"{load.directory}: expected a model that loads, got "
            f"{type(err).__name__}: {first_line(err)}",
            remedy="train the version again",
        ) from err


def _fork(channel: socket.socket, model: LoadedModel | None) -> None:
    """Fork a copy that scores on the socket which comes with the next byte."""
    _, descriptors, _, _ = socket.recv_fds(channel, 1, 1)
    gc.collect()
    gc.freeze()
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        channel.close()
        _serve_copy(descriptors[0], parent, _loaded(model))
    os.close(descriptors[0])
    send_frame(channel, FrameKind.FORKED, msgspec.json.encode(Forked(pid, memory_of(pid))))


def _serve_copy(descriptor: int, parent: int, model: LoadedModel) -> NoReturn:
    """What a copy does until its socket is closed; it must never return into its parent's code."""
    try:
        _end_with(parent)
        with socket.socket(fileno=descriptor) as channel:
            _serve(channel, model)
    except (FrameError, OSError):
        os._exit(0)
    except BaseException:  # noqa: BLE001 - see above
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def _end(pid: int) -> None:
    """Kill a copy. Until it is waited for here, no other process can have its id."""
    with contextlib.suppress(ChildProcessError):
        if os.waitpid(pid, os.WNOHANG) == (0, 0):
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


class _OnnxGraph:
    """An ONNX graph that the worker does not run itself."""

    def __init__(self, load: LoadModel) -> None:
        from services.onnx_session import Session
        from services.scoring_process.model_files import verified_files

        ((name, data),) = verified_files(load).items()
        self._session = Session(data, f"{load.directory}/{name}")
        self.dtype: str | None = self._session.dtype.str

    def score(self, kind: FrameKind, payload: bytes, /) -> NDArray[Any]:
        """The scores of a matrix."""
        if kind is not FrameKind.MATRIX:
            raise FrameError(f"expected a matrix, got {kind.name}")
        return self._session.run(unpack_matrix(payload)[0]).astype(float)


def _end_with(parent: int) -> None:
    """End when the process that started this one ends, even while the model computes."""
    with contextlib.suppress(OSError, AttributeError):
        # Linux's kernel does it, even if a computation never lets go of the interpreter.
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(0)
        return

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(PARENT_CHECK_S)
        os._exit(0)

    Thread(target=watch, name="parent-watcher", daemon=True).start()


if __name__ == "__main__":
    main()
