"""The page at `/` in a real chromium: a title, on a phone, and requests to the service only."""

import pytest

from tests.browser import needs_chromium
from tests.chromium import running_chromium
from tests.services.conftest import Service
from tests.services.http_client import ask

pytestmark = [pytest.mark.slow, needs_chromium]
SPILLS = """
[...document.querySelectorAll("body *")].filter(e => e.getBoundingClientRect().right > innerWidth)
  .map(e => e.tagName + "." + e.className + " " + e.innerText).join("; ")
"""
INTERNAL_WORDS = ("IODescriptor", "googletagmanager", "BentoML Prediction Service")


def test_the_page_at_the_root_fits_a_phone_and_asks_nobody_else(service: Service) -> None:
    status, _, headers = ask(service, "/", None, "GET")
    assert status == 200
    assert headers["content-type"] == "text/html; charset=utf-8"

    with running_chromium() as tab:
        tab.open(f"{service.url}/", 390)
        tab.wait_for("document.querySelectorAll('.opblock').length > 10")

        assert tab.evaluate("document.title") == "Slipway: predictions"
        assert tab.evaluate("document.documentElement.scrollWidth") == 390, tab.evaluate(SPILLS)
        text = tab.evaluate("document.body.innerText + document.documentElement.outerHTML")
        assert not [word for word in INTERNAL_WORDS if word in text]
        assert "/models/tiny/predict" in text
        assert {url.partition("/static")[0] for url in tab.requests if url.startswith("http")} <= {
            service.url,
            f"{service.url}/",
            f"{service.url}/docs.json",
        }
        assert f"{service.url}/docs.json" in tab.requests
