"""A page in a real chromium: the document after its scripts ran, and every address it asked."""

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

needs_chromium = pytest.mark.skipif(shutil.which("chromium") is None, reason="needs chromium")


@dataclass(frozen=True)
class OpenedPage:
    """What chromium made of an address.

    Attributes:
        document: The HTML after the scripts ran.
        requested: The addresses that the page asked, in their order. What chromium asks for
            itself, such as updates, is not among them.

    """

    document: str
    requested: tuple[str, ...]


def opened(url: str, folder: Path, *, width: int = 1280, script_ms: int = 10_000) -> OpenedPage:
    """Open an address in a window of that many pixels; `folder` gets chromium's profile and log.

    Its scripts have `script_ms` of virtual time.
    """
    log = folder / "net.json"
    done = subprocess.run(
        [
            "chromium",
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-background-networking",
            # Nothing leaves this machine; a request is in the log before its name is looked up.
            "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
            f"--user-data-dir={folder / 'profile'}",
            f"--window-size={width},900",
            f"--log-net-log={log}",
            f"--virtual-time-budget={script_ms}",
            "--dump-dom",
            url,
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return OpenedPage(done.stdout, tuple(_requested(json.loads(log.read_text()))))


def _requested(log: dict[str, Any]) -> list[str]:
    """The addresses of requests that a page began; chromium's own have no origin."""
    starting = log["constants"]["logEventTypes"]["URL_REQUEST_START_JOB"]
    found = [event.get("params", {}) for event in log["events"] if event["type"] == starting]
    asked = [each for each in found if "url" in each]
    return [each["url"] for each in asked if each.get("initiator") != "not an origin"]
