"""A chromium that stays open, for several looks at pages; it takes commands from a pipe."""

import json
import os
import subprocess
import sys
import tempfile
import time
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

LOAD_TIMEOUT_S = 60.0
LAUNCHER = """\
import os, sys
commands, answers = (os.dup(int(text)) for text in sys.argv[1:3])
for number, wanted in ((commands, 3), (answers, 4)):
    os.dup2(number, wanted)
    os.set_inheritable(wanted, True)
os.execvp(sys.argv[3], sys.argv[3:])
"""
"""Becomes chromium, which reads commands from descriptor 3 and writes answers to 4."""


@dataclass
class Chromium:
    """One tab; `requests` are the addresses that it asked for since the last `open`."""

    commands: int
    answers: int
    requests: list[str] = field(default_factory=list)
    _rest: bytes = b""
    _n: int = 0
    _session: str = ""
    _is_loaded: bool = False

    def attach(self) -> None:
        """Make a tab, and listen to it."""
        tab = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=tab, flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Runtime"):
            self.call(f"{domain}.enable")

    def open(self, url: str, width: int = 1280, *, is_dark: bool = False, later_s: int = 0) -> None:
        """Load a page as a screen of this width shows it, `later_s` seconds from now."""
        mobile = width < 500
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=900, deviceScaleFactor=1, mobile=mobile,
        )  # fmt: skip
        scheme = {"name": "prefers-color-scheme", "value": "dark" if is_dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        clock = f"const now = Date.now; Date.now = () => now() + {1000 * later_s};"
        script = self.call("Page.addScriptToEvaluateOnNewDocument", source=clock)["identifier"]
        self.requests.clear()
        self._is_loaded = False
        self.call("Page.navigate", url=url)
        deadline = time.monotonic() + LOAD_TIMEOUT_S
        while not self._is_loaded:
            assert time.monotonic() < deadline, f"{url} did not load"
            self._next()
        self.call("Page.removeScriptToEvaluateOnNewDocument", identifier=script)

    def evaluate(self, expression: str) -> Any:
        """The value of an expression of JavaScript."""
        found = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def wait_for(self, expression: str) -> None:
        """Wait until an expression is true."""
        deadline = time.monotonic() + LOAD_TIMEOUT_S
        while not self.evaluate(expression):
            assert time.monotonic() < deadline, f"never true: {expression}"
            time.sleep(0.05)

    def screenshot(self, path: Path) -> Path:
        """The whole page as a PNG."""
        shot = self.call("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(b64decode(shot["data"]))
        return path

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """The result of a command of the DevTools protocol."""
        self._n += 1
        message: dict[str, Any] = {"id": self._n, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self.commands, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._n:
                assert "error" not in answer, answer
                return dict(answer["result"])

    def _next(self) -> dict[str, Any]:
        """The next message, which may be an event."""
        while b"\0" not in self._rest:
            data = os.read(self.answers, 1 << 20)
            assert data, "chromium has ended"
            self._rest += data
        text, _, self._rest = self._rest.partition(b"\0")
        message: dict[str, Any] = json.loads(text)
        if message.get("method") == "Network.requestWillBeSent":
            self.requests.append(message["params"]["request"]["url"])
        elif message.get("method") == "Page.loadEventFired":
            self._is_loaded = True
        return message


@contextmanager
def running_chromium() -> Iterator[Chromium]:
    """A chromium with an empty profile, ended with the block."""
    commands_in, commands = os.pipe()
    answers, answers_out = os.pipe()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        process = subprocess.Popen(
            [
                sys.executable, "-c", LAUNCHER, str(commands_in), str(answers_out),
                "chromium", "--headless", "--no-sandbox", "--disable-gpu",
                "--hide-scrollbars", "--no-first-run", "--disable-background-networking",
                f"--user-data-dir={profile}", "--remote-debugging-pipe",
            ],
            pass_fds=(commands_in, answers_out),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(commands_in)
        os.close(answers_out)
        try:
            tab = Chromium(commands, answers)
            tab.attach()
            yield tab
        finally:
            os.close(commands)
            process.terminate()
            process.wait(30)
            os.close(answers)
