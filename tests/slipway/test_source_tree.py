"""Limits of size, imports without a circle, a sign for each package, one meaning per name."""

import ast
from pathlib import Path

import pytest

from tests.slipway.source_tree import (
    PACKAGES,
    ROOT,
    Source,
    duplicate_names,
    import_cycles,
    long_files,
    long_functions,
    sources,
    wide_classes,
)

ONE_MEANING = {
    "FRAMEWORK": "the door of a framework, in its own file; the catalog reads it by this name",
    "MARGINS": "the translations of a family of estimators, by class",
    "PROBABILITIES": "the translations of a family of estimators, by class",
    "REGRESSORS": "the translations of a family of estimators, by class",
    "TRANSFORMS": "the translations of a family of estimators, by class",
    "T": "a type variable without a bound",
    "app": "the Typer application of a module of commands; slipway.app joins them",
    "estimator": "returns the unfitted estimator of a recipe, in the recipe's own file",
    "load": "reads the table of a recipe, in the recipe's own file",
    "logger": "the logger of a module",
    "main": "the entry point of a process",
    "recipe": "what each recipe's file defines, and the loader reads by this name",
}
"""Names that several modules may define, because they mean the same in each."""
FILES = sources()


def test_no_file_is_longer_than_the_limit() -> None:
    assert long_files(FILES) == []


def test_no_function_is_longer_than_the_limit() -> None:
    assert long_functions(FILES) == []


def test_no_class_has_more_public_methods_than_the_limit() -> None:
    assert wide_classes(FILES) == []


def test_no_import_goes_in_a_circle_even_inside_a_function() -> None:
    assert import_cycles(FILES) == []


def test_a_public_name_has_one_definition_or_one_meaning() -> None:
    """Rename one of the two, or add the name to `ONE_MEANING` if both are the same thing."""
    found = duplicate_names(FILES)

    assert {name: where for name, where in found.items() if name not in ONE_MEANING} == {}
    assert ONE_MEANING.keys() <= found.keys(), "this name has one definition only: remove it"


def folders() -> list[Path]:
    """Each folder of a package that holds Python files."""
    return sorted({source.path.parent for source in FILES if source.package in PACKAGES})


@pytest.mark.parametrize("folder", folders(), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_package_has_a_sign_and_nothing_else(folder: Path) -> None:
    """What comes in, what goes out, what it may import; and no import."""
    path = folder / "__init__.py"
    assert path.is_file()
    tree = ast.parse(path.read_text())
    sign = ast.get_docstring(tree) or ""

    assert len(tree.body) == 1
    assert len(sign.splitlines()) > 1
    assert "import" in sign.lower()


# The checks themselves, on trees that break each limit.


def written(folder: Path, name: str, text: str, monkeypatch: pytest.MonkeyPatch) -> Source:
    monkeypatch.setattr("tests.slipway.source_tree.ROOT", folder)
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return Source(path)


def test_what_is_too_large_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    body = "\n".join(f"    x{i} = {i}" for i in range(50))
    methods = "\n".join(f"    def m{i}(self): ..." for i in range(16))
    text = f"def f():\n{body}\n\nclass C:\n{methods}\n" + "#\n" * 300
    source = written(tmp_path, "slipway/large.py", text, monkeypatch)

    assert long_files([source]) == ["slipway.large: 369 lines"]
    assert long_functions([source]) == ["slipway.large.f: 51 lines"]
    assert wide_classes([source]) == ["slipway.large.C: 16 public methods"]


def test_a_docstring_is_no_line_of_its_function(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = "\n".join(f"    x{i} = {i}" for i in range(49))
    text = f'def f():\n    """One\n\n    two.\n    """\n{body}\n'

    assert long_functions([written(tmp_path, "slipway/f.py", text, monkeypatch)]) == []


def test_a_circle_is_found_through_functions_and_packages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = {
        "slipway/a.py": "from slipway import b\n",
        "slipway/b.py": "def f():\n    import registry.c\n",
        "registry/c.py": "from slipway.a import x\n",
        "registry/d.py": "from registry import c\n",
    }
    files = [written(tmp_path, name, text, monkeypatch) for name, text in texts.items()]

    assert import_cycles(files) == [["registry.c", "slipway.a", "slipway.b"]]


def test_a_name_with_two_definitions_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = {
        "slipway/a.py": "LIMIT = 1\ndef _own(): ...\nclass Rows: ...\n",
        "registry/b.py": "LIMIT: int = 2\ndef _own(): ...\ndef run():\n    Rows = 1\n",
        "tests/c.py": "class Rows: ...\n",
    }
    files = [written(tmp_path, name, text, monkeypatch) for name, text in texts.items()]

    assert duplicate_names(files) == {"LIMIT": ["slipway.a", "registry.b"]}
