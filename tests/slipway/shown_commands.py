"""Runs what a page shows: its commands in one shell, its edits of files, its servers.

A page is Markdown. A block of `sh` holds commands; a `text` block right behind it is their output;
a `diff` block with a file's name is an edit. `...` in an output stands for any lines.
"""

import os
import re
import shlex
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

import pytest

_FENCE = re.compile(r"^```(sh|text|diff)\n(.*?)^```[ \t]*\n(\n?)", re.DOTALL | re.MULTILINE)
_SERVERS = {"mlflow ui": "/health", "bentoml serve": "/readyz"}
"""Commands that keep running, and the path that answers when they are ready."""
_CLIENTS = ("slipway simulate", "slipway status", "python -m examples.deliveries week")
"""Commands that ask the service at its default address if no other is named."""
_VOLATILE = (
    (re.compile(r"\x1b\[[0-9;?]*[A-Za-z]"), ""),
    (re.compile(r"/\S*/(?=(?:training|var|data|docs)/)"), ""),
    (re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b"), "ID"),
    (re.compile(r"\b\d{4}-?\d\d-?\d\d[T ][\d:.]+(?:Z|\+00:00)?"), "TIME"),
    (re.compile(r"\b(?:[0-9a-f]{8,64}|(?=[0-9a-f]*[a-f])(?=[0-9a-f]*\d)[0-9a-f]{7})\b"), "ID"),
    (re.compile(r"-?\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?"), lambda m: m[0] if m[0] == "0" else "N"),
    (re.compile(r"[\u2500-\u257f]+"), " "),
    (re.compile(r"\s+"), " "),
)
"""What differs between runs: colours, folders, ids, times, numbers but 0, frames of tables."""


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    kind: Literal["sh", "text", "diff"]
    text: str

    @property
    def commands(self) -> list[str]:
        """The commands, without comments; one goes on in the next line if a quote is open."""
        lines = self.text.replace("\\\n", " ").splitlines()
        commands: list[str] = []
        for line in lines:
            bare = re.split(r"(?:^|\s\s)#", line)[0].strip()
            if commands and commands[-1].count('"') % 2:
                commands[-1] += f"\n{line}"
            elif bare:
                commands.append(bare)
        return commands


def blocks_of(page: str) -> list[Block]:
    """The blocks of a page that are commands, outputs or edits, in order."""
    return [Block(kind, text) for kind, text, _ in _FENCE.findall(page)]


def commands_of(page: str) -> list[str]:
    """Every command of a page, in order."""
    return [c for block in blocks_of(page) if block.kind == "sh" for c in block.commands]


def at_port(command: str, port: int) -> str:
    """The command for a service on `port` in place of 3000."""
    if command.startswith(_CLIENTS) and "--url" not in command:
        return f"{command} --url http://127.0.0.1:{port}"
    return command.replace(":3000", f":{port}")


def is_server(command: str) -> bool:
    """Whether the command keeps running."""
    return command in _SERVERS


@contextmanager
def server(
    command: str, port: int, folder: Path, environ: Mapping[str, str], log: Path
) -> Iterator[None]:
    """A server started by the words of a page, on `port` by its own variable, until it is ready."""
    own = {"BENTOML_PORT": str(port), "MLFLOW_PORT": str(port), "MLFLOW_WORKERS": "1"}
    with log.open("wb") as sink:
        process = subprocess.Popen(
            shlex.split(command),
            cwd=folder,
            env={**environ, **own},
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=sink,
        )
    try:
        await_answer(f"http://127.0.0.1:{port}{_SERVERS[command]}", process, log)
        yield
    finally:
        process.terminate()
        process.wait(30)


def await_answer(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    """Wait up to a minute until `url` answers; fail with the log if the process ends."""
    for _ in range(600):
        assert process.poll() is None, log.read_text()
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.1)
    pytest.fail(f"{url} does not answer: {log.read_text()}")


class Shell:
    """One bash for the commands of a page, so that a later one sees the variables of an earlier."""

    def __init__(self, folder: Path, environ: Mapping[str, str], scratch: Path) -> None:
        self._script = scratch / "command.sh"
        self._process = subprocess.Popen(
            ["bash", "--noprofile", "--norc"],
            cwd=folder,
            env=environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.communicate()

    def run(self, command: str) -> tuple[int, str]:
        """Exit code and output of a command; its errors are in the output, as on a terminal."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._script.write_text(f"{command}\n")
        end = f"end of command {time.monotonic_ns()}"
        script = shlex.quote(str(self._script))
        self._process.stdin.write(f"source {script} </dev/null; printf '\\n%s %s\\n' '{end}' $?\n")
        self._process.stdin.flush()
        lines: list[str] = []
        for line in self._process.stdout:
            if line.startswith(end):
                return int(line.removeprefix(end)), "".join(lines).removesuffix("\n")
            lines.append(line)
        pytest.fail(f"the shell ended in: {command}\n{''.join(lines)}")


def apply_edit(folder: Path, diff: str) -> None:
    """Apply a `diff` block: its file is in its `+++` line, each hunk occurs exactly once there."""
    head, *hunks = re.split(r"^@@.*\n", diff, flags=re.MULTILINE)
    name = re.search(r"^\+\+\+ (\S+)", head, re.MULTILINE)
    assert name is not None, head
    path = folder / name[1]
    text = path.read_text()
    for hunk in hunks:
        lines = hunk.splitlines()
        old = "".join(f"{line[1:]}\n" for line in lines if not line.startswith("+"))
        new = "".join(f"{line[1:]}\n" for line in lines if not line.startswith("-"))
        assert text.count(old) == 1, f"{path} has {text.count(old)} places like this:\n{old}"
        text = text.replace(old, new)
    path.write_text(text)


def stable_lines(output: str) -> list[str]:
    """The lines of an output without what differs from run to run, and without empty ones."""
    lines = []
    for line in output.splitlines():
        kept = line
        for pattern, replacement in _VOLATILE:
            kept = pattern.sub(replacement, kept)
        lines.append(kept.strip())
    return [line for line in lines if line]


def is_shown(shown: str, real: str) -> bool:
    """Whether an output as a page prints it is the real one; `...` stands for any lines."""
    parts = [
        r"(?:.*\n)*" if line == "..." else f"{re.escape(line)}\n" for line in stable_lines(shown)
    ]
    return (
        re.fullmatch("".join(parts), "".join(f"{line}\n" for line in stable_lines(real)))
        is not None
    )


@dataclass(frozen=True)
class Ran:
    """A block of commands that has run: what the page shows, and what happened."""

    commands: tuple[str, ...]
    exit_codes: tuple[int, ...]
    output: str
    shown: str | None


class Walk:
    """A reader who follows pages in one checkout, with one shell and the servers they start."""

    def __init__(self, root: Path, environ: Mapping[str, str], scratch: Path, port: int) -> None:
        self.root = root
        self.port = port
        self._environ = environ
        self._scratch = scratch
        self._servers = ExitStack()
        self.shell = Shell(root, environ, scratch)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self.shell:
            self.stop_servers()

    def stop_servers(self) -> None:
        """End the servers that pages have started."""
        self._servers.close()

    def follow(self, page: str, skipped: Collection[str] = ()) -> list[Ran]:
        """Run the commands and edits of a page, but those `skipped`, up to a failure."""
        blocks = blocks_of(page)
        ran = []
        for block, following in zip(blocks, [*blocks[1:], None], strict=True):
            if block.kind == "diff":
                apply_edit(self.root, block.text)
            elif block.kind == "sh":
                shown = following.text if following and following.kind == "text" else None
                ran.append(self._run([c for c in block.commands if c not in skipped], shown))
                if any(ran[-1].exit_codes):
                    break
        return ran

    def _run(self, commands: list[str], shown: str | None) -> Ran:
        results = []
        for command in commands:
            if is_server(command):
                log = self._scratch / f"{command.replace(' ', '-')}.log"
                started = server(command, self.port, self.root, self._environ, log)
                self._servers.enter_context(started)
            else:
                results.append(self.shell.run(at_port(command, self.port)))
                if results[-1][0]:
                    break
        return Ran(
            tuple(commands),
            tuple(code for code, _ in results),
            "".join(output for _, output in results),
            shown,
        )
