"""The exported graph in onnxruntime-node, and both forms in a real browser.

npm installs the runtimes, so the test needs a registry of packages; the browser is chromium.
"""

import base64
import http.server
import json
import shutil
import subprocess
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from contracts.edge_model import EdgeModel
from contracts.names import MODEL_FILE, SAMPLE_FILE
from tests import tiny
from tests.browser import needs_chromium, opened
from tests.training.edge_export.versions import read_manifest, write_version
from training.edge_export.agreement import compared_rows, disagreement, served_answers
from training.edge_export.export import export_edge
from training.edge_export.forms import json_answers, json_lines

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("npm") is None, reason="npm is not installed"),
]

NPM = Path(__file__).parent / "npm"
PAGE = """<!doctype html><meta charset="utf-8"><pre id="answers"></pre>
<script type="module">
import { predict } from "./model.mjs";
import { answersOf, tensorsOf } from "./onnx_rows.mjs";
import * as ort from "./node_modules/onnxruntime-web/dist/ort.wasm.min.mjs";
const text = await (await fetch("rows.jsonl")).text();
const rows = text.trim().split("\\n").map((line) => JSON.parse(line));
const edge = await (await fetch("edge.json")).json();
ort.env.wasm.numThreads = 1;
const session = await ort.InferenceSession.create("model.onnx");
const outputs = await session.run(tensorsOf(edge, rows, ort.Tensor));
const graph = answersOf(edge, outputs, rows.length);
const answers = { graph, plain: rows.map((row) => predict(row)) };
document.querySelector("#answers").textContent = btoa(
  unescape(encodeURIComponent(JSON.stringify(answers))),
);
</script>"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An export with the runtimes installed, and 1,000 rows in `rows.jsonl`."""
    root = tmp_path_factory.mktemp("runtimes")
    pointer = write_version(tiny.binary(), root / "model")
    export_edge(root / "model", pointer, root / "edge")
    for name in (".npmrc", "package-lock.json"):
        shutil.copy(NPM / name, root / "edge")
    done = subprocess.run(
        ["npm", "ci", "--prefer-offline", "--ignore-scripts"],
        cwd=root / "edge",
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    manifest = read_manifest(root / "model")
    rows = compared_rows(manifest, pd.read_parquet(root / "model" / SAMPLE_FILE))
    (root / "edge" / "rows.jsonl").write_text(json_lines(rows))
    return root / "edge"


def assert_agrees(folder: Path, text: str) -> None:
    """The answers, one JSON document per line, are those of the served model."""
    directory = folder.parent / "model"
    manifest = read_manifest(directory)
    described = EdgeModel.read((folder / "edge.json").read_bytes())
    rows = [json.loads(line) for line in (folder / "rows.jsonl").read_text().splitlines()]
    expected = served_answers((directory / MODEL_FILE).read_bytes(), manifest, rows)
    found = disagreement(manifest, expected, json_answers(described, manifest, text))
    assert found.is_within(described.tolerance), found


def test_the_export_names_the_tested_versions_of_the_runtimes(folder: Path) -> None:
    own = json.loads((folder / "package.json").read_text())
    tested = json.loads((NPM / "package.json").read_text())

    assert own["dependencies"] == tested["dependencies"]


def test_onnxruntime_node_answers_like_the_served_model(folder: Path) -> None:
    done = subprocess.run(
        ["node", "onnx_node.mjs"],
        cwd=folder,
        input=(folder / "rows.jsonl").read_text(),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr

    assert_agrees(folder, done.stdout)


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name in http.server
        del format, args


@pytest.fixture
def address(folder: Path) -> Iterator[str]:
    """The export over HTTP, on this machine only."""
    handler = partial(_Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def shown(url: str, folder: Path) -> str:
    """The document of a page after its scripts ran in chromium."""
    return opened(url, folder, script_ms=30_000).document


@needs_chromium
def test_a_browser_answers_like_the_served_model(
    folder: Path, address: str, tmp_path: Path
) -> None:
    """model.mjs, and model.onnx in onnxruntime-web's WebAssembly, on 1,000 rows each."""
    (folder / "check.html").write_text(PAGE)

    document = shown(f"{address}/check.html", tmp_path)

    answers = json.loads(
        base64.b64decode(document.split('<pre id="answers">')[1].split("</pre>")[0])
    )
    for form in ("graph", "plain"):
        assert_agrees(folder, "".join(json.dumps(answer) + "\n" for answer in answers[form]))


@needs_chromium
@pytest.mark.parametrize("query", ["", "?onnx"])
def test_the_example_page_works(query: str, address: str, tmp_path: Path) -> None:
    assert "<h1>tiny, version 1</h1>" in shown(f"{address}/index.html{query}", tmp_path)
