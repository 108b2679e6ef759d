"""Clients that are generated from the OpenAPI document compile, and work."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from openapi_spec_validator import validate

from tests import tiny
from tests.services.conftest import Service
from tests.services.http_client import ask
from tests.services.test_protocols import direct

pytestmark = pytest.mark.slow
TYPESCRIPT = Path(__file__).parent / "typescript"
BINARIES = Path(sys.executable).parent
USE = """
import json
import sys

from slipway_client import Client
from slipway_client.api.labels import post_models_tiny_labels as label
from slipway_client.api.m_lflow import post_models_tiny_invocations as invoke
from slipway_client.api.models import get_models
from slipway_client.api.open_inference_protocol_v_2 import post_v2_models_tinyvalue_infer as infer
from slipway_client.api.predictions import post_models_tiny_predict as predict
from slipway_client.api.predictions import post_models_tiny_predict_batch as predict_batch
from slipway_client.models import (
    FaultBody, InferenceRequest, InferenceResponse, InvocationPredictions, LabelsAccepted,
    ModelList, RequestTensor, RequestTensorDatatype, TinyColumns, TinyDataframeRecords, TinyLabel,
    TinyPrediction, TinyResults, TinyRow, TinyRowWork, TinyRows, TinyTable, TinyTableWorkItem,
    TinyTruthType0,
)

client = Client(sys.argv[1])
row = TinyRow(region="north", age=40, income=5e4, lines=3, owner=True, work=TinyRowWork.YES)
one = predict.sync(client=client, body=row)
assert isinstance(one, TinyPrediction)
many = predict_batch.sync(client=client, body=TinyRows(rows=[row, row]))
assert isinstance(many, TinyResults)
table = TinyTable(age=[40], lines=[3], owner=[True], work=[TinyTableWorkItem.YES])
by_column = predict_batch.sync(client=client, body=TinyColumns(columns=table))
assert isinstance(by_column, TinyResults)
row.age = -1
refused = predict.sync(client=client, body=row)
assert isinstance(refused, FaultBody)
row.age = 40
invoked = invoke.sync(client=client, body=TinyDataframeRecords(dataframe_records=[row]))
assert isinstance(invoked, InvocationPredictions)
tensor = RequestTensor(
    name="all", shape=[1, 6], datatype=RequestTensorDatatype.FP64, data=[40, 5e4, 3, 1, 0, 0]
)
inferred = infer.sync(client=client, body=InferenceRequest(inputs=[tensor]))
assert isinstance(inferred, InferenceResponse)
truth = TinyLabel(prediction_id=one.prediction_id, truth=TinyTruthType0.YES)
labelled = label.sync(client=client, body=truth)
assert isinstance(labelled, LabelsAccepted)
models = get_models.sync(client=client)
assert isinstance(models, ModelList)
print(json.dumps({
    "prediction": one.prediction.value,
    "yes": one.probabilities["yes"],
    "many": len(many.results),
    "byColumn": by_column.failed,
    "refused": refused.error.violations[0].path,
    "invoked": invoked.predictions,
    "inferred": [output.name for output in inferred.outputs],
    "labelled": labelled.accepted,
    "models": [model.name for model in models.models],
}))
"""


def run(*command: object, cwd: Path) -> str:
    """The output of a command that must succeed."""
    environ = os.environ | {"PATH": f"{BINARIES}:{os.environ['PATH']}", "NO_COLOR": "1"}
    done = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    return done.stdout


@pytest.fixture(scope="module")
def document(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The service's OpenAPI document as a file."""
    path = tmp_path_factory.mktemp("document") / "docs.json"
    path.write_text(json.dumps(ask(service, "/docs.json", None, "GET")[1]))
    return path


def answers(service: Service) -> dict[str, Any]:
    """What the requests of both clients are answered without them."""
    row = direct(service, "tiny", [tiny.GOOD])[0]
    return {
        "prediction": row["prediction"],
        "yes": row["probabilities"]["yes"],
        "many": 2,
        "byColumn": 0,
        "refused": "age",
        "invoked": [row["prediction"]],
        "inferred": ["prediction", "values", "prediction_id"],
        "labelled": 1,
        "models": ["tiny", "tiny3", "tinypair", "tinyvalue"],
    }


def without_models(spec: Any) -> Any:
    """The document without two of the models, for which a client has the same code again."""
    others = ("/tiny3", "/tinypair")
    paths = {p: item for p, item in spec["paths"].items() if not any(o in p for o in others)}
    schemas = spec["components"]["schemas"]
    kept = {n: each for n, each in schemas.items() if not n.startswith(("Tiny3", "Tinypair"))}
    return spec | {"paths": paths, "components": spec["components"] | {"schemas": kept}}


def test_the_document_is_valid(document: Path) -> None:
    validate(json.loads(document.read_text()))


def test_a_python_client_compiles_and_works(
    service: Service, document: Path, tmp_path: Path
) -> None:
    client = tmp_path / "client"
    small = tmp_path / "docs.json"
    small.write_text(json.dumps(without_models(json.loads(document.read_text()))))
    generator = BINARIES / "openapi-python-client"
    run(generator, "generate", "--path", small, "--output-path", client, cwd=tmp_path)
    script = client / "use.py"
    script.write_text(USE)
    # The generator writes a few casts to the type that is there already.
    strict = ("--strict", "--no-warn-redundant-casts", "--cache-dir", tmp_path / "mypy")
    run(sys.executable, "-m", "mypy", *strict, "use.py", "slipway_client", cwd=client)

    assert json.loads(run(sys.executable, "use.py", service.url, cwd=client)) == answers(service)


def test_a_typescript_client_compiles_and_works(
    service: Service, document: Path, tmp_path: Path
) -> None:
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed")
    folder = tmp_path / "typescript"
    shutil.copytree(TYPESCRIPT, folder)
    run("npm", "ci", "--prefer-offline", cwd=folder)
    run("npx", "openapi-typescript", document, "-o", "service.d.ts", cwd=folder)
    run("npx", "tsc", cwd=folder)

    assert json.loads(run("node", "out/client.js", service.url, cwd=folder)) == answers(service)
