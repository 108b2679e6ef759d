"""Evidently's page in a real browser: text from clients is drawn, and never runs."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pandas as pd
import pytest
from msgspec.structs import replace

from monitoring.reporting.evidently import evidently_html
from monitoring.reporting.evidently_page import escape_json, safe_page
from tests.monitoring.reporting.documents import DRIFTED

# Evidently and what it imports warn of their own age while they are imported.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")

MARK = "document.documentElement.dataset.attacked=1"
HOSTILE = [
    f"</script><script>{MARK};alert(1)</script>",
    f"<img src=x onerror={MARK}>",
    f"<svg onload={MARK}>",
    "<!--<script>",
    f"';{MARK};'",
    "\u2028\u2029&lt;",
    f'<a href="javascript:{MARK}">north</a>',
]


def hostile_page() -> str:
    """A report on a number, and on a category whose values and name are attacks."""
    before = pd.DataFrame({"age": range(40), HOSTILE[0]: ["north"] * 40})
    after = pd.DataFrame({"age": range(40), HOSTILE[0]: (HOSTILE * 40)[:40]})
    finding = replace(DRIFTED, column=HOSTILE[0], kind="category")
    return evidently_html(before, after, [DRIFTED, finding])


def rendered(page: str, folder: Path) -> tuple[str, str]:
    """The document as chromium has it after the scripts ran, and chromium's console.

    A dialog would stop chromium until the timeout.
    """
    path = folder / "page.html"
    path.write_text(page, encoding="utf-8")
    done = subprocess.run(
        [
            "chromium",
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            f"--user-data-dir={folder / 'profile'}",
            "--enable-logging=stderr",
            "--virtual-time-budget=20000",
            "--dump-dom",
            path.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return done.stdout, done.stderr


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs chromium")
def test_text_from_clients_does_not_run_and_the_charts_are_drawn(tmp_path: Path) -> None:
    document, console = rendered(hostile_page(), tmp_path)
    shown = re.sub(r"<script>.*?</script>", "", document, flags=re.DOTALL)

    assert "data-attacked" not in document
    assert "<script" not in shown
    assert not re.search(r"<(img|svg)[^>]*\son(error|load)=", shown)
    assert 'href="javascript:' not in shown
    assert "&lt;/script&gt;" in shown
    assert shown.count("<canvas") > 1
    assert "Content Security Policy" not in console, console


def test_the_page_asks_nobody_and_its_data_cannot_end_the_script() -> None:
    page = hostile_page()
    head = page[: page.index("<style>")]

    assert page.count("</script>") == 4
    for rule in ("default-src 'none'", "connect-src 'none'", "base-uri 'none'"):
        assert rule in head
    assert "'unsafe-inline'" not in head.partition("script-src")[2].partition(";")[0]
    assert "\\u003c/script\\u003e\\u003cscript\\u003e" in page


def test_a_page_of_another_template_is_refused() -> None:
    with pytest.raises(ValueError, match="expected Evidently's template"):
        safe_page("<html><script>var x = 1;</script></html>")


def test_escaped_json_keeps_its_value() -> None:
    escaped = escape_json(json.dumps(HOSTILE, ensure_ascii=False))

    assert json.loads(escaped) == HOSTILE
    assert not set("<>&\u2028\u2029") & set(escaped)
