"""Finds the own feature code that a pipeline uses, for its model directory."""

import ast
import importlib.util
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from contracts.errors import InvalidRecipe
from contracts.names import FEATURE_CODE_PACKAGE, feature_code_file

IMPORTABLE = frozenset({"numpy", "pandas", "scipy", "sklearn"})
"""What own code may import, in addition to the standard library: what scoring processes have."""
MAX_SOURCE_BYTES = 1_000_000


def feature_code_of(types: Iterable[str], recipe_name: str) -> dict[str, bytes]:
    """The files of a model directory for the own code among `types` and all that it imports.

    `types` are qualified names of classes and functions in a stored pipeline.

    Raises:
        InvalidRecipe: a module of own code imports what a scoring process does not have.

    """
    waiting = sorted({_module_of(name) for name in types} - {""})
    found: dict[str, bytes] = {}
    while waiting:
        module = waiting.pop()
        if module in found:
            continue
        path = _source(module, recipe_name)
        source = path.read_bytes()
        found[module] = source
        waiting += _imported_modules(source, module, path, recipe_name)
    return {feature_code_file(module): source for module, source in found.items()}


def _module_of(name: str) -> str:
    """The module of own code that a qualified name is in; empty for all other names."""
    module = name.rpartition(".")[0]
    return module if module.startswith(f"{FEATURE_CODE_PACKAGE}.") else ""


def _source(module: str, recipe_name: str) -> Path:
    spec = importlib.util.find_spec(module)
    path = Path(spec.origin) if spec is not None and spec.origin is not None else None
    if path is None or path.name == "__init__.py" or path.suffix != ".py":
        raise InvalidRecipe(
            f"recipe {recipe_name!r}: {module}: expected a file {_as_path(module)}, "
            f"got {path or 'nothing'}",
            remedy="put own feature code into files directly in training/features",
        )
    size_bytes = path.stat().st_size
    if size_bytes > MAX_SOURCE_BYTES:
        raise InvalidRecipe(
            f"{path}: expected at most {MAX_SOURCE_BYTES} bytes, got {size_bytes}",
            remedy="keep data out of feature code",
        )
    return path


def _as_path(module: str) -> str:
    return module.replace(".", "/") + ".py"


def _imported_modules(source: bytes, module: str, path: Path, recipe_name: str) -> Iterator[str]:
    """The modules of own code that a module imports, and no others are.

    Raises:
        InvalidRecipe: it imports something else, with the line.

    """
    for line, name in _imports(ast.parse(source), module):
        root = name.partition(".")[0]
        if name.startswith(f"{FEATURE_CODE_PACKAGE}."):
            # `from training.features.calendar import hour` names a module and a function.
            yield ".".join(name.split(".")[:3])
        elif root not in IMPORTABLE and root not in sys.stdlib_module_names:
            raise InvalidRecipe(
                f"recipe {recipe_name!r}: {path.name}, line {line}: expected an import of "
                f"{', '.join(sorted(IMPORTABLE))}, the standard library or "
                f"{FEATURE_CODE_PACKAGE}, got {name}",
                remedy="scoring processes have nothing else; see docs/own-code.md",
            )


def _imports(tree: ast.Module, module: str) -> Iterator[tuple[int, str]]:
    """The line and the qualified name of each import, relative ones resolved."""
    package = module.split(".")[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            parts = [*base, *([node.module] if node.module else [])]
            for alias in node.names:
                yield node.lineno, ".".join([*parts, alias.name])
