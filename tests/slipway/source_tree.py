"""The source files of this repository: their sizes, imports and public names, read as syntax.

    python -m tests.slipway.source_tree

prints everything that breaks a limit, and every public name with two definitions.
"""

import ast
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = (
    "contracts",
    "metrics",
    "pages",
    "training",
    "registry",
    "services",
    "monitoring",
    "slipway",
)
MAX_FILE_LINES = 350
MAX_FUNCTION_LINES = 50
"""The docstring does not count."""
MAX_PUBLIC_METHODS = 15

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Source:
    """One Python file."""

    path: Path

    @property
    def module(self) -> str:
        """The dotted name by which the file is imported."""
        parts = self.path.relative_to(ROOT).with_suffix("").parts
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

    @property
    def package(self) -> str:
        """The first part of the module's name."""
        return self.module.partition(".")[0]

    @cached_property
    def text(self) -> str:
        """The file's content."""
        return self.path.read_text(encoding="utf-8")

    @cached_property
    def tree(self) -> ast.Module:
        """The file's syntax."""
        return ast.parse(self.text)

    def long_functions(self) -> Iterator[tuple[str, int]]:
        """Name and lines of each function above the limit."""
        for node in ast.walk(self.tree):
            if isinstance(node, Function) and (lines := _lines(node)) > MAX_FUNCTION_LINES:
                yield node.name, lines

    def wide_classes(self) -> Iterator[tuple[str, int]]:
        """Name and number of public methods of each class above the limit."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.ClassDef):
                names = [each.name for each in node.body if isinstance(each, Function)]
                public = sum(not name.startswith("_") for name in names)
                if public > MAX_PUBLIC_METHODS:
                    yield node.name, public

    def imports(self, modules: frozenset[str]) -> Iterator[str]:
        """Which of `modules` the file imports, inside functions too."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names if alias.name in modules)
            elif isinstance(node, ast.ImportFrom) and node.module:
                for alias in node.names:
                    inner = f"{node.module}.{alias.name}"
                    yield inner if inner in modules else node.module

    def public_names(self) -> Iterator[str]:
        """Classes, functions and constants that the file defines at its top level."""
        for node in self.tree.body:
            if isinstance(node, Function | ast.ClassDef):
                names = [node.name]
            elif isinstance(node, ast.Assign):
                names = [each.id for each in node.targets if isinstance(each, ast.Name)]
            elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                names = [node.target.id]
            else:
                names = []
            yield from (name for name in names if not name.startswith("_"))


def sources() -> list[Source]:
    """Every Python file that git knows or would add."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "*.py"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    names = set(filter(None, listed.stdout.decode().split("\0")))
    return [Source(ROOT / name) for name in sorted(names) if (ROOT / name).is_file()]


def long_files(files: list[Source]) -> list[str]:
    """Files above the limit, with their lines."""
    counted = ((each, len(each.text.splitlines())) for each in files)
    return [f"{each.module}: {lines} lines" for each, lines in counted if lines > MAX_FILE_LINES]


def long_functions(files: list[Source]) -> list[str]:
    """Functions above the limit, with their lines."""
    return [f"{s.module}.{name}: {n} lines" for s in files for name, n in s.long_functions()]


def wide_classes(files: list[Source]) -> list[str]:
    """Classes above the limit, with their number of public methods."""
    return [f"{s.module}.{name}: {n} public methods" for s in files for name, n in s.wide_classes()]


def import_cycles(files: list[Source]) -> list[list[str]]:
    """Groups of modules that import each other in a circle, sorted (Tarjan 1972)."""
    modules = frozenset(each.module for each in files)
    graph = {s.module: sorted(set(s.imports(modules)) & modules - {s.module}) for s in files}
    return sorted(_components(graph))


def duplicate_names(files: list[Source]) -> dict[str, list[str]]:
    """Public top-level names that several modules of the packages define, with the modules."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for source in files:
        if source.package in PACKAGES:
            for name in dict.fromkeys(source.public_names()):
                found[name].append(source.module)
    return {name: modules for name, modules in sorted(found.items()) if len(modules) > 1}


def _lines(function: Function) -> int:
    lines = (function.end_lineno or function.lineno) - function.lineno + 1
    first = function.body[0]
    if ast.get_docstring(function) is None:
        return lines
    return lines - ((first.end_lineno or first.lineno) - first.lineno + 1)


def _components(graph: Mapping[str, list[str]]) -> Iterator[list[str]]:
    """The strongly connected components of more than one module."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []

    def visit(module: str) -> Iterator[list[str]]:
        index[module] = low[module] = len(index)
        stack.append(module)
        for other in graph[module]:
            if other not in index:
                yield from visit(other)
                low[module] = min(low[module], low[other])
            elif other in stack:
                low[module] = min(low[module], index[other])
        if low[module] == index[module]:
            start = stack.index(module)
            component = sorted(stack[start:])
            del stack[start:]
            if len(component) > 1:
                yield component

    for module in graph:
        if module not in index:
            yield from visit(module)


def main() -> None:
    """Print what breaks a limit."""
    files = sources()
    lines = [*long_files(files), *long_functions(files), *wide_classes(files)]
    lines += [f"cycle: {', '.join(cycle)}" for cycle in import_cycles(files)]
    lines += [f"{name}: {', '.join(modules)}" for name, modules in duplicate_names(files).items()]
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
