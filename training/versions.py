"""Versions of the libraries that a model was made with."""

import platform
from importlib.metadata import version

LIBRARIES = ("scikit-learn", "numpy", "pandas", "skops", "skl2onnx", "onnx", "onnxruntime")


def versions_of(names: tuple[str, ...]) -> dict[str, str]:
    """The installed versions of libraries."""
    return {name: version(name) for name in names}


def all_versions() -> dict[str, str]:
    """The installed versions of all libraries that make a model, and of Python."""
    return versions_of(LIBRARIES) | {"python": platform.python_version()}
