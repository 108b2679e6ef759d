"""Other people's clients get the same predictions, and bad tables a reason."""

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
import numpy as np
import pandas as pd
import pytest
import tritonclient.http as triton
from hypothesis import given
from hypothesis import strategies as st
from mlflow.pyfunc.scoring_server.client import ScoringServerClient
from tritonclient.utils import InferenceServerException

from contracts.manifest import Manifest, Pointer
from services.faults import STATUSES, Fault
from services.inference.decode import Decoder
from services.inference.loader import ServedModel
from services.inference.render import Renderer
from services.protocols.batch import PredictBatch, batch_rows
from services.protocols.invocations import Invocations
from services.protocols.open_inference import OpenInference
from services.protocols.tensors import output_metadata
from tests import tiny
from tests.services.conftest import Service
from tests.services.http_client import JSON, ask
from tests.services.test_decode import features_of

GOLDEN = Path(__file__).parents[1] / "contracts/golden"
DECODER = Decoder(tiny.SCHEMA)
POINTER = Pointer.read((GOLDEN / "pointer.v1.json").read_bytes())
MANIFEST = msgspec.structs.replace(
    Manifest.read((GOLDEN / "manifest.v1.json").read_bytes()), schema=tiny.SCHEMA
)
NO_SESSION: Any = None
TINY = ServedModel(POINTER, MANIFEST, NO_SESSION, DECODER, Renderer(POINTER, MANIFEST), 1)
READERS: dict[str, Callable[[bytes], object]] = {
    "batch": lambda body: PredictBatch(TINY).read(body, 10),
    "invocations": lambda body: Invocations(TINY).read(body, 10),
    "infer": lambda body: OpenInference(TINY).read(body, 10),
}
ROWS = [
    tiny.GOOD,
    tiny.GOOD | {"age": 71.5, "work": "no", "region": "south"},
    tiny.GOOD | {"income": None, "region": None, "owner": False},
]
COLUMNS = {name: [row[name] for row in ROWS] for name in tiny.GOOD}
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 2**65),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(["north", "west", "yes", "no"]),
)
documents = st.recursive(
    VALUES,
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(
        st.sampled_from(
            [
                "rows", "columns", "data", "dataframe_split", "dataframe_records", "inputs",
                "instances", "name", "shape", "datatype", "outputs", "id", "age", "work", "params",
            ]
        ),
        inner,
        max_size=5,
    ),
    max_leaves=12,
)  # fmt: skip


@given(st.lists(st.fixed_dictionaries(dict.fromkeys(tiny.GOOD, VALUES)), min_size=1, max_size=4))
def test_columns_mean_what_the_same_rows_mean(rows: list[dict[str, Any]]) -> None:
    columns = {name: [row[name] for row in rows] for name in tiny.GOOD}
    one = batch_rows(json.dumps({"rows": rows}).encode(), DECODER, 10)
    other = batch_rows(json.dumps({"columns": columns}).encode(), DECODER, 10)
    wrong = [
        [(i, v.path) for i, fault in sorted(each.refused.items()) for v in fault.violations]
        for each in (one, other)
    ]

    assert [json.loads(bytes(text)) for text in one.features] == [
        json.loads(bytes(text)) for text in other.features
    ]
    assert list(one.flags) == list(other.flags)
    assert len(one) + len(one.refused) == len(rows)
    np.testing.assert_array_equal(np.array(one.numbers), np.array(other.numbers))
    as_columns = [(i, f"columns.{p.removeprefix(f'rows[{i}].')}[{i}]") for i, p in wrong[0]]
    assert as_columns == wrong[1]


@given(documents.map(json.dumps).map(str.encode) | st.binary(max_size=60))
def test_no_document_raises_anything_but_a_fault(body: bytes) -> None:
    for read in READERS.values():
        with suppress(Fault):
            read(body)


@pytest.mark.parametrize(
    ("path", "document", "where"),
    [
        ("batch", {"columns": {"age": 3}}, "columns.age"),
        ("batch", {"columns": {"age": [3], "work": []}}, "columns.work"),
        ("batch", {"columns": {}}, "columns"),
        ("batch", {"columns": COLUMNS, "rows": ROWS}, "body"),
        ("invocations", {"dataframe_split": []}, "dataframe_split"),
        ("invocations", {"dataframe_split": {"columns": ["age", "age"], "data": []}}, "columns"),
        ("invocations", {"dataframe_split": {"columns": ["age"], "data": [[1, 2]]}}, "data[0]"),
        ("invocations", {"dataframe_records": [tiny.GOOD | {"age": -1}]}, "records[0].age"),
        ("invocations", {"inputs": COLUMNS, "params": {"x": 1}}, "params"),
        ("invocations", {"inputs": COLUMNS | {"age": [40, -1, 2]}}, "inputs.age[1]"),
        ("invocations", {"rows": ROWS}, "body"),
        ("infer", {"inputs": 3}, "inputs"),
        ("infer", {"inputs": [3]}, "inputs[0]"),
        ("infer", {"inputs": [{"name": "age", "datatype": "FP64", "shape": [1]}]}, "[0].data"),
        (
            "infer",
            {"inputs": [{"name": "age", "datatype": "FP64", "shape": [2], "data": [1]}]},
            "inputs[0].data",
        ),
        (
            "infer",
            {"inputs": [{"name": "age", "datatype": "BYTES", "shape": [1], "data": ["x"]}]},
            "inputs[0].datatype",
        ),
        (
            "infer",
            {"inputs": [{"name": "all", "datatype": "FP64", "shape": [1, 2], "data": [1, 2]}]},
            "inputs[0].shape",
        ),
        (
            "infer",
            {"inputs": [{"name": "age", "datatype": "FP64", "shape": [1], "data": [-1]}]},
            "inputs[0].data[0]",
        ),
    ],
)  # fmt: skip
def test_a_bad_table_gets_the_path_of_the_error(path: str, document: object, where: str) -> None:
    body = json.dumps(document).encode()
    with pytest.raises(Fault) as caught:
        READERS[path](body)

    assert caught.value.code == "invalid_request"
    assert any(where in violation.path for violation in caught.value.violations)


def direct(service: Service, name: str, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    body = json.dumps({"rows": rows}).encode()
    status, answer, _ = ask(service, f"/models/{name}/predict/batch", body)
    assert (status, answer["failed"]) == (200, 0)
    results: list[dict[str, Any]] = answer["results"]
    return results


@pytest.mark.slow
def test_a_batch_of_columns_answers_like_one_of_rows(service: Service) -> None:
    body = json.dumps({"columns": COLUMNS}).encode()
    _, answer, _ = ask(service, "/models/tiny/predict/batch", body)

    assert [r["probabilities"] for r in answer["results"]] == [
        r["probabilities"] for r in direct(service, "tiny", ROWS)
    ]


def tensors(rows: list[dict[str, Any]]) -> list[Any]:
    types = {"age": "FP64", "income": "FP32", "lines": "INT64", "owner": "BOOL"}
    kinds = {"FP64": np.float64, "FP32": np.float32, "INT64": np.int64, "BOOL": np.bool_}
    made = []
    for name in rows[0]:
        kind = types.get(name, "BYTES")
        column = [row[name] for row in rows]
        made.append(triton.InferInput(name, [len(rows), 1], kind))
        array: Any = np.array(column, dtype=kinds.get(kind, np.object_)).reshape(-1, 1)
        made[-1].set_data_from_numpy(array, binary_data=False)
    return made


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tiny", "tiny3", "tinyvalue", "tinypair"])
def test_tritons_client_gets_the_same_predictions(service: Service, name: str) -> None:
    rows = ROWS[:2]
    client = triton.InferenceServerClient(urlsplit(service.url).netloc)
    metadata = client.get_model_metadata(name)
    wanted = [
        triton.InferRequestedOutput(o["name"], binary_data=False) for o in metadata["outputs"]
    ]
    got = client.infer(name, tensors(rows), request_id="abc", outputs=wanted)
    expected = direct(service, name, rows)
    field = "probabilities" if name in {"tiny", "tiny3"} else "values"

    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready(name)
    assert client.is_model_ready(name, "1")
    assert {i["name"] for i in metadata["inputs"]} == set(tiny.GOOD)
    assert got.get_response()["id"] == "abc"
    assert got.as_numpy("prediction").tolist() == [r["prediction"] for r in expected]
    assert got.as_numpy(field).tolist() == [list(r[field].values()) for r in expected]
    client.close()


@pytest.mark.slow
def test_one_tensor_of_codes_answers_like_the_words(service: Service) -> None:
    _, metadata, _ = ask(service, "/v2/models/tiny", None, "GET")
    names = [each["name"] for each in metadata["inputs"]]
    categories = {
        each["name"]: each["parameters"].get("categories", []) for each in metadata["inputs"]
    }
    rows: list[dict[str, Any]] = ROWS[:2]
    codes = [
        [categories[n].index(row[n]) if categories[n] else float(row[n]) for n in names]
        for row in rows
    ]
    tensor = {"name": "features", "datatype": "FP32", "shape": [2, 6], "data": codes}
    body = json.dumps({"inputs": [tensor], "outputs": [{"name": "probabilities"}]}).encode()
    status, answer, _ = ask(service, "/v2/models/tiny/versions/1/infer", body)
    expected = [list(r["probabilities"].values()) for r in direct(service, "tiny", ROWS[:2])]

    assert status == 200
    assert [output["name"] for output in answer["outputs"]] == ["probabilities"]
    assert np.reshape(answer["outputs"][0]["data"], (2, 2)).tolist() == expected


@pytest.mark.slow
def test_tritons_client_gets_the_reason(service: Service) -> None:
    client = triton.InferenceServerClient(urlsplit(service.url).netloc)
    with pytest.raises(
        InferenceServerException, match=r"inputs\[1\]\.data\[0\]: expected a number"
    ):
        client.infer("tiny", tensors([tiny.GOOD | {"age": -1.0}]))
    with pytest.raises(InferenceServerException, match="expected one of tiny, tiny3"):
        client.infer("tny", tensors([tiny.GOOD]))
    client.close()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tiny", "tiny3", "tinyvalue", "tinypair"])
def test_mlflows_client_gets_the_same_predictions(service: Service, name: str) -> None:
    parts = urlsplit(service.url)
    client = ScoringServerClient(parts.hostname, parts.port)
    client.ping()
    client.url_prefix += f"/models/{name}"
    rows = ROWS if name == "tiny" else ROWS[:2]
    expected = [r["prediction"] for r in direct(service, name, rows)]

    assert client.invoke(pd.DataFrame(rows))["predictions"] == expected


@pytest.mark.slow
@pytest.mark.parametrize(
    "document",
    [
        {"dataframe_records": ROWS},
        {"dataframe_split": {"columns": list(COLUMNS), "data": [list(r.values()) for r in ROWS]}},
        {"inputs": COLUMNS},
        {"inputs": [[row[name] for name in tiny.SCHEMA.names] for row in ROWS]},
        {"instances": ROWS, "params": {}},
    ],
    ids=["records", "split", "columns", "lists", "instances"],
)
def test_every_way_of_mlflows_protocol_is_understood(service: Service, document: object) -> None:
    status, answer, _ = ask(service, "/models/tiny/invocations", json.dumps(document).encode())

    assert status == 200
    assert answer == {"predictions": [r["prediction"] for r in direct(service, "tiny", ROWS)]}


@pytest.mark.slow
def test_errors_of_the_other_protocols_keep_their_shape(service: Service) -> None:
    status, answer, headers = ask(service, "/v2/models/tiny/infer", b"{")
    assert (status, answer["code"]) == (STATUSES["invalid_json"], "invalid_json")
    assert isinstance(answer["error"], str)
    assert answer["request_id"] == headers["x-request-id"]

    status, answer, _ = ask(service, "/invocations", b"{}", headers=JSON)
    assert (status, answer["error"]["code"]) == (404, "unknown_model")
    assert ask(service, "/v2/models/tiny", b"", "POST")[0] == 405
    assert ask(service, "/v2/nothing", None, "GET")[0] == 404


def test_the_name_of_a_model_in_a_body_is_accepted() -> None:
    """KServe's client sends it."""
    inputs: list[dict[str, Any]] = [{"name": "features", "datatype": "FP32", "shape": [1, 6]}]
    inputs[0]["data"] = [40.0, 5e4, 3.0, 1.0, 0.0, 0.0]
    document = {"id": "a", "model_name": "tiny", "inputs": inputs}
    rows, _ = OpenInference(TINY).read(json.dumps(document).encode(), 10)

    assert features_of(rows) == [tiny.GOOD]
    with pytest.raises(Fault, match="model_name: expected a string"):
        OpenInference(TINY).read(json.dumps(document | {"model_name": 3}).encode(), 10)


def test_numeric_outputs_say_that_they_are_arrays() -> None:
    """MLServer's NumPy codec reads flat data of shape `[n, 2]` by it."""
    for classes in (("no", "yes"), ()):
        outputs = output_metadata(msgspec.structs.replace(MANIFEST, classes=classes))
        for output in outputs:
            parameters = output.parameters or {}
            assert ("content_type" in parameters) == (output.datatype == "FP64")
