"""The site builds without a warning, asks nobody else for anything, and has its search index."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path

import pytest

from docs_site.published_files import pages_outside_docs, site_path
from tests.browser import needs_chromium, opened

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(
    find_spec("mkdocs") is None, reason='needs MkDocs: make setup EXTRAS="docs"'
)


def build(config: Path, target: Path) -> "subprocess.CompletedProcess[str]":
    """What `make docs` runs, into another folder."""
    return subprocess.run(
        [
            *(sys.executable, "-m", "mkdocs", "build", "--strict"),
            *("--config-file", str(config), "--site-dir", str(target)),
        ],
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("site")
    done = build(ROOT / "mkdocs.yml", target)
    assert done.returncode == 0, done.stderr
    return target


@pytest.fixture(scope="module")
def address(site: Path) -> Iterator[str]:
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Pytest's output is for failures."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(site)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_every_page_of_the_repository_is_on_the_site(site: Path) -> None:
    outside = pages_outside_docs(ROOT)
    inside = [path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md")]
    pages = {site_path(path, outside) for path in [*outside, *inside]} - {"README.md"}

    assert (site / "index.html").is_file()
    assert {p for p in pages if not (site / p).with_suffix(".html").is_file()} == set()


def test_no_page_loads_anything_from_another_server(site: Path) -> None:
    for page in site.rglob("*.html"):
        text = page.read_text()
        assert 'src="http' not in text, page
        assert '<link rel="stylesheet" href="http' not in text, page


def test_a_page_reads_as_on_github(site: Path) -> None:
    """Links lead to where the site has their targets, lists are lists, bars of tables are bars."""
    text = (site / "data.html").read_text()
    replay = (site / "replay.html").read_text()

    assert 'href="quickstart.html#your-own-model"' in (site / "add-a-model.html").read_text()
    assert "<code>|</code>" in text
    assert "<li>A flip is a changed decision" in replay


@pytest.mark.slow
@needs_chromium
def test_the_first_page_asks_its_own_server_only(address: str, tmp_path: Path) -> None:
    page = opened(f"{address}/index.html?q=rollback", tmp_path)

    assert len(page.requested) > 3
    assert [url for url in page.requested if not url.startswith(address)] == []
    assert any("search_index.json" in url for url in page.requested)


def test_a_link_that_leads_nowhere_ends_the_build(tmp_path: Path) -> None:
    config = (ROOT / "mkdocs.yml").read_text()
    pages = tmp_path / "docs"
    pages.mkdir()
    (pages / "README.md").write_text("# Start\n\n[gone](gone.md) and [here](#nowhere)\n")
    own = config.partition("nav:")[0].replace("hooks:", "# hooks:")
    (tmp_path / "mkdocs.yml").write_text(own)
    done = build(tmp_path / "mkdocs.yml", tmp_path / "site")

    assert done.returncode == 1
    assert "gone.md" in done.stderr
    assert "#nowhere" in done.stderr
