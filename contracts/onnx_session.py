"""The options of every ONNX Runtime session: the service and the gate open models alike.

The gate compares how long two versions take to answer. That says something about the service
only if both processes open a model with the same options, so these stand here. ONNX Runtime
itself is imported by `services.onnx_session` and `training.onnx_session` only.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np

PROVIDERS = ("CPUExecutionProvider",)
"""Execution providers, in order of preference."""
FLOAT32 = np.dtype(np.float32)
FLOAT64 = np.dtype(np.float64)
INPUT_DTYPES: Mapping[str, np.dtype[Any]] = MappingProxyType(
    {"tensor(float)": FLOAT32, "tensor(double)": FLOAT64}
)
"""The types of a model's input, by ONNX Runtime's name: a graph takes float32 where the
certificate allows it, else float64 (docs/certificate.md)."""


class RuntimeOptions(Protocol):
    """What is set of `onnxruntime.SessionOptions`."""

    intra_op_num_threads: int
    inter_op_num_threads: int
    log_severity_level: int

    def add_session_config_entry(self, key: str, value: str, /) -> None:
        """Set an option that ONNX Runtime knows by its name only."""


@dataclass(frozen=True)
class SessionOptions:
    """Options of a session, by the names that ONNX Runtime gives them.

    A worker runs one batch at a time in one thread. That thread does not spin while it waits,
    so idle models use no processor time. Severity 4 logs fatal messages only: an error is
    raised as well, and whoever catches it logs it once.
    """

    intra_op_num_threads: int = 1
    inter_op_num_threads: int = 1
    log_severity_level: int = 4
    config_entries: tuple[tuple[str, str], ...] = (("session.intra_op.allow_spinning", "0"),)

    def apply_to(self, options: RuntimeOptions) -> None:
        """Set these on an `onnxruntime.SessionOptions`."""
        options.intra_op_num_threads = self.intra_op_num_threads
        options.inter_op_num_threads = self.inter_op_num_threads
        options.log_severity_level = self.log_severity_level
        for key, value in self.config_entries:
            options.add_session_config_entry(key, value)


SESSION_OPTIONS = SessionOptions()
"""The options with which every process opens a model."""


def turn_telemetry_off() -> None:
    """Turn ONNX Runtime's telemetry off; call this before `onnxruntime` is imported.

    By default, version 1.31 keeps an id of the device and its events below `~/.cache/Microsoft`,
    to send them. `onnxruntime.disable_telemetry_events` comes too late for both.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
