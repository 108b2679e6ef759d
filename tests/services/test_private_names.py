"""Without a private name of Starlette or uvicorn everything works, with one warning."""

from pathlib import Path

import pytest

from contracts.names import Layout
from tests.services.conftest import ROOT, Service, await_ready, start
from tests.services.http_client import ask, metric
from tests.services.raw_connection import connected, request

pytestmark = pytest.mark.slow

BROKEN = """
import sys
from services.edge import install
{change}
from services.predictor import Predictor
"""


@pytest.mark.parametrize(
    ("change", "warning"),
    [
        ("install.OUTERMOST = 'gone'", "the edge stays inside BentoML's middleware"),
        ("install.TESTED_UVICORN = ('0.1.',)", "is not among the tested versions (0.1.x)"),
        (
            "sys.modules['services.edge.fast_path'] = None",
            "uvicorn's protocol class has moved",
        ),
        (
            "sys.modules['httptools'] = None",
            "uvicorn's protocol class has moved",
        ),
    ],
    ids=["no middleware stack", "unknown uvicorn", "no fast path", "no httptools"],
)
def test_without_a_private_name_everything_works_with_one_warning(
    models: Path, tmp_path: Path, change: str, warning: str
) -> None:
    """What happens when Starlette or uvicorn moves what the edge and the fast path rely on."""
    (tmp_path / "broken.py").write_text(BROKEN.format(change=change))
    process, url, log = start(
        tmp_path, models, bentofile='service: "broken:Predictor"\n', PYTHONPATH=f"{ROOT}:{tmp_path}"
    )
    try:
        await_ready(url, process, log)
        service = Service(url, Layout(tmp_path / "var"), process, log)
        with connected(service) as raw:
            for _ in range(3):
                raw.send(request())
                status, headers, answer = raw.answer()
                assert status == 200
                assert set(answer["probabilities"]) == {"no", "yes"}
                assert "x-request-id" in headers
        assert ask(service, "/models/tiny/predict", b"{}")[0] == 422
        assert ask(service, "/", None, "GET")[0] == 200
        assert metric(service, 'slipway_requests_total{model="tiny",status="200"}') == 3
    finally:
        process.terminate()
        process.wait(30)
    assert log.read_text().count(warning) == 1
    assert log.read_text().count("requests will be slower") == 1


def test_the_edge_and_the_fast_path_are_in_place(service: Service) -> None:
    """Fails when an upgrade of BentoML, Starlette or uvicorn moves what they rely on."""
    text = service.log.read_text()

    assert "requests will be slower" not in text
