"""Python's clients: `python_clients.py NAME BASE MODEL N BODY` prints the last answer as JSON."""

import asyncio
import http.client
import json
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

HEADERS = {"content-type": "application/json"}
NAME, BASE, MODEL, N, BODY = *sys.argv[1:4], int(sys.argv[4]), Path(sys.argv[5]).read_bytes()
URL = f"{BASE}/models/{MODEL}/predict"
ROW: dict[str, Any] = json.loads(BODY)


def _use_http_client() -> Any:
    connection = http.client.HTTPConnection(urlsplit(BASE).netloc)
    answer: Any = None
    for _ in range(N):
        connection.request("POST", urlsplit(URL).path, BODY, HEADERS)
        answer = json.load(connection.getresponse())
    return answer


def _use_urllib() -> Any:
    answer: Any = None
    for _ in range(N):
        request = urllib.request.Request(URL, BODY, HEADERS)  # noqa: S310 - the service under test
        with urllib.request.urlopen(request) as response:  # noqa: S310 - as above
            answer = json.load(response)
    return answer


def _use_urllib3() -> Any:
    import urllib3

    pool = urllib3.PoolManager()
    answers = [pool.request("POST", URL, body=BODY, headers=HEADERS).json() for _ in range(N)]
    return answers[-1]


def _use_requests() -> Any:
    import requests

    session = requests.Session()
    return [session.post(URL, json=ROW, timeout=60).json() for _ in range(N)][-1]


def _use_httpx() -> Any:
    import httpx

    with httpx.Client() as client:
        return [client.post(URL, json=ROW).json() for _ in range(N)][-1]


def _use_httpx_async() -> Any:
    import httpx

    async def run() -> Any:
        async with httpx.AsyncClient() as client:
            return [(await client.post(URL, json=ROW)).json() for _ in range(N)][-1]

    return asyncio.run(run())


def _use_aiohttp() -> Any:
    import aiohttp

    async def run() -> Any:
        answer: Any = None
        async with aiohttp.ClientSession() as session:
            for _ in range(N):
                async with session.post(URL, json=ROW) as response:
                    answer = await response.json()
        return answer

    return asyncio.run(run())


def _use_bentoml() -> Any:
    import bentoml

    with bentoml.SyncHTTPClient(BASE) as client:
        return [getattr(client, f"predict_{MODEL}")(**ROW) for _ in range(N)][-1]


def _use_bentoml_async() -> Any:
    import bentoml

    async def run() -> Any:
        async with bentoml.AsyncHTTPClient(BASE) as client:
            return [await getattr(client, f"predict_{MODEL}")(**ROW) for _ in range(N)][-1]

    return asyncio.run(run())


def _use_tritonclient(*, is_binary: bool = True) -> Any:
    import numpy as np
    import tritonclient.http as triton

    client = triton.InferenceServerClient(urlsplit(BASE).netloc)
    metadata = client.get_model_metadata(MODEL)
    datatypes = {each["name"]: each["datatype"] for each in metadata["inputs"]}
    arrays = {
        "BOOL": np.bool_, "INT64": np.int64, "FP64": np.float64, "BYTES": np.object_,
    }  # fmt: skip
    inputs, outputs = [], None
    for name, value in ROW.items():
        inputs.append(triton.InferInput(name, [1, 1], datatypes[name]))
        array: Any = np.array([[value]], dtype=arrays[datatypes[name]])
        inputs[-1].set_data_from_numpy(array, binary_data=is_binary)
    if not is_binary:
        outputs = [
            triton.InferRequestedOutput(each["name"], binary_data=False)
            for each in metadata["outputs"]
        ]
    results = [client.infer(MODEL, inputs, outputs=outputs) for _ in range(N)]
    prediction = results[-1].as_numpy("prediction")[0]
    text = prediction.decode() if isinstance(prediction, bytes) else prediction
    return {"prediction": text}


def _use_mlflow() -> Any:
    import pandas as pd
    from mlflow.pyfunc.scoring_server.client import ScoringServerClient

    parts = urlsplit(BASE)
    client = ScoringServerClient(parts.hostname, parts.port)
    client.url_prefix += f"/models/{MODEL}"
    client.ping()
    frame = pd.DataFrame([ROW])
    return {"prediction": [client.invoke(frame)["predictions"][0] for _ in range(N)][-1]}


USES: dict[str, Callable[[], Any]] = {
    "http.client": _use_http_client,
    "urllib": _use_urllib,
    "urllib3": _use_urllib3,
    "requests": _use_requests,
    "httpx": _use_httpx,
    "httpx-async": _use_httpx_async,
    "aiohttp": _use_aiohttp,
    "bentoml": _use_bentoml,
    "bentoml-async": _use_bentoml_async,
    "tritonclient": _use_tritonclient,
    "tritonclient-json": lambda: _use_tritonclient(is_binary=False),
    "mlflow": _use_mlflow,
}
sys.stdout.write(json.dumps(USES[NAME](), default=float) + "\n")
