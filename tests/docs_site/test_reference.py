"""The reference is what the code says today."""

import json
import subprocess
import sys
from pathlib import Path

import jsonschema_rs
import pytest

from contracts.decision import Decision
from docs_site.reference.document_page import document_types, schema_file
from docs_site.reference.pages import FOLDER
from tests.contracts.test_documents import FILES, KINDS, kind_of

ROOT = Path(__file__).parents[2]
REMEDY = "the code has changed: run make docs, and commit docs/reference"


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pages as a process of their own writes them: metrics register once a process."""
    folder = tmp_path_factory.mktemp("reference")
    subprocess.run([sys.executable, "-m", "docs_site", str(folder)], cwd=ROOT, check=True)
    return folder


def files(folder: Path) -> dict[str, str]:
    found = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_text() for path in found}


def test_the_pages_are_those_that_the_code_writes(written: Path) -> None:
    expected, found = files(written), files(FOLDER)

    assert found.keys() == expected.keys(), REMEDY
    assert [name for name, text in found.items() if text != expected[name]] == [], REMEDY


def test_every_document_with_a_golden_file_has_a_section_and_a_schema(written: Path) -> None:
    page = (written / "documents.md").read_text()

    assert {kind.__name__ for kind in document_types()} == {k.__name__ for k in KINDS.values()}
    for kind in KINDS.values():
        assert f"### {kind.__name__}\n" in page
    decision = json.loads((written / "schemas" / schema_file(Decision)).read_text())
    assert "exam" in decision["$defs"]["Decision"]["properties"], "the name on disk"


@pytest.mark.parametrize("golden", FILES, ids=lambda path: path.stem)
def test_golden_documents_are_valid_by_their_schemas(golden: Path) -> None:
    """By a validator of JSON Schema that shares no code with ours."""
    kind = kind_of(golden)
    schema = json.loads((FOLDER / "schemas" / schema_file(kind)).read_text())

    jsonschema_rs.validate(schema, json.loads(golden.read_text()))


def test_every_field_of_a_recipe_that_a_file_sets_is_explained(written: Path) -> None:
    page = (written / "recipe.md").read_text()
    rows = [line.split(" | ") for line in page.splitlines() if line.startswith("| `")]

    assert any(row[0] == "| `label_delay`" for row in rows)
    assert [row for row in rows if not row[-1].strip("| ")] == []
