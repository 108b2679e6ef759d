"""The OpenAPI document tells the truth, and ten thousand bodies meet no 5xx and no wrong 200."""

import http.client
import json
import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import bentoml
import jsonschema_rs
import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests import tiny
from tests.services.conftest import ROOT, Guarded, Service
from tests.services.http_client import ask
from tests.services.jobs.client import people, rows_body, submit
from training.fitting import fit
from training.pipeline import scores_of

pytestmark = pytest.mark.slow
HOOKS = "tests.services.schemathesis_hooks"
CROSS_FIELD = "positive_data_acceptance"
"""JSON Schema cannot say that columns are equally long, or that a tensor has its shape's values."""
PARTIAL = "negative_data_rejection"
"""A batch answers 200 and refuses single rows; `schemathesis_hooks` checks each of them."""
EXAMPLES, BODIES = 50, 210


def document(service: Service) -> Any:
    return ask(service, "/docs.json", None, "GET")[1]


def test_every_path_of_the_document_answers(service: Service) -> None:
    spec = document(service)
    job_id = submit(service, rows_body(people(1)))["id"]
    for template, item in spec["paths"].items():
        path = template.replace("{id}", job_id)
        for method in item:
            status, _, _ = ask(service, path, b"{}" if method == "post" else None, method.upper())
            assert str(status) in {"200", *item[method]["responses"]}, path
            assert status != 404, path

    assert spec["info"]["title"] == "Slipway"
    assert "contact" not in spec["info"]
    assert len(spec["paths"]) > 25


def schemathesis(service: Service, folder: Path, paths: str, *options: str) -> None:
    """Send what schemathesis makes of the document; every check but those left out must hold."""
    binary = Path(sys.executable).parent / "schemathesis"
    done = subprocess.run(
        [
            str(binary), "run", f"{service.url}/docs.json", "--include-path-regex", paths,
            "--checks", "all", "--seed", "7", "--generation-database", "none",
            "--phases", "examples,coverage,fuzzing", "--suppress-health-check", "all", *options,
        ],
        cwd=folder,
        env=os.environ | {"NO_COLOR": "1", "SCHEMATHESIS_HOOKS": HOOKS, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]


@pytest.mark.parametrize(
    ("paths", "options"),
    [
        (r"^/(ping|v2.*|models(/tiny[a-z0-9]*(/predict|/labels|/ping)?)?)(?<!infer)$", ()),
        (r"^/(jobs.*|models/tiny/jobs)$", ("--exclude-checks", f"{CROSS_FIELD},{PARTIAL}")),
        (r"/tiny(value)?(/versions/1)?/(infer|invocations)$", ("--exclude-checks", CROSS_FIELD)),
        ("/tiny(value)?/predict/batch$", ("--exclude-checks", f"{CROSS_FIELD},{PARTIAL}")),
    ],
    ids=["rows and labels", "jobs", "tables and tensors", "batches"],
)
def test_schemathesis_finds_nothing(
    service: Service, tmp_path: Path, paths: str, options: tuple[str, ...]
) -> None:
    schemathesis(service, tmp_path, paths, "--max-examples", "20", *options)


def test_schemathesis_finds_nothing_where_keys_are_required(
    guarded: Guarded, tmp_path: Path
) -> None:
    """Its check `ignored_auth` leaves out the key, too."""
    key = f"x-api-key: {guarded.key}"
    paths = "^/(ping|v2/health/ready|v2/models/tiny|models/tiny/(predict|labels))$"
    schemathesis(guarded.service, tmp_path, paths, "--max-examples", "15", "-H", key)


values = {
    "region": st.sampled_from(["north", "south", "east", None]),
    "age": st.floats(18, 100),
    "income": st.floats(0, 1e6) | st.none(),
    "lines": st.integers(0, 50),
    "owner": st.booleans(),
    "work": st.sampled_from(["yes", "no"]),
}
anything = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**6), 10**6),
    st.floats(-1e6, 1e6),
    st.text(max_size=8),
)
valid = st.fixed_dictionaries(values)
spoilt = st.tuples(valid, st.dictionaries(st.sampled_from([*values, "x"]), anything, max_size=2))
bodies = valid | spoilt.map(lambda pair: pair[0] | pair[1])


def test_ten_thousand_bodies_meet_no_5xx_and_no_wrong_200(service: Service) -> None:
    """What is valid is decided by the OpenAPI document, what is right by scikit-learn."""
    spec = document(service)
    schema = spec["components"]["schemas"]["TinyRow"]
    for feature in schema["properties"].values():
        # OpenAPI 3.0's own word for what JSON Schema calls a type of two.
        if feature.pop("nullable", False):
            feature["type"] = [feature["type"], "null"]
    is_valid = jsonschema_rs.validator_for(schema).is_valid
    answered: list[tuple[dict[str, Any], dict[str, float]]] = []
    sent = 0
    parts = urlsplit(service.url)
    to = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=30)

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],  # a failing row is in the message: nothing to shrink
    )
    @given(st.lists(bodies, min_size=BODIES, max_size=BODIES))
    def send(rows: list[dict[str, Any]]) -> None:
        nonlocal sent
        for row in rows:
            to.request("POST", "/models/tiny/predict", json.dumps(row))
            answer = to.getresponse()
            body = json.load(answer)
            assert answer.status == (200 if is_valid(row) else 422), (row, body)
            if answer.status == 200 and not body["flags"]:
                answered.append((row, body["probabilities"]))
        sent += len(rows)

    with closing(to):
        send()
    assert sent >= 10_000
    assert len(answered) > 1_000
    recipe = tiny.binary()
    fitted = fit(recipe)
    table = pd.DataFrame([row for row, _ in answered])
    expected = scores_of(fitted.pipeline, table, recipe)
    got = np.array([list(scores.values()) for _, scores in answered])
    assert np.abs(got - expected).max() <= fitted.certificate.tolerance


def test_bentomls_async_client_gets_the_edges_answers(service: Service) -> None:
    import asyncio

    async def story() -> tuple[Any, Any]:
        async with bentoml.AsyncHTTPClient(service.url) as client:
            one = await client.predict_tiny(**tiny.GOOD)
            many = await client.predict_tiny3_batch(rows=[tiny.GOOD] * 3)
        return one, many

    one, many = asyncio.run(story())
    _, direct, _ = ask(service, "/models/tiny/predict")
    body = json.dumps({"rows": [tiny.GOOD] * 3}).encode()
    _, batch, _ = ask(service, "/models/tiny3/predict/batch", body)

    assert one["probabilities"] == direct["probabilities"]
    assert [r["probabilities"] for r in many["results"]] == [
        r["probabilities"] for r in batch["results"]
    ]
