"""The clients and proxies, and how each is started."""

import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

PROGRAMS = Path(__file__).with_name("programs")
JSON = "content-type: application/json"


@dataclass(frozen=True)
class Target:
    """What is asked: `n` times the row in the file `body`, of a model at `base`."""

    base: str
    model: str
    n: int
    body: Path

    @property
    def url(self) -> str:
        """Where one row is predicted."""
        return f"{self.base}/models/{self.model}/predict"


@dataclass(frozen=True)
class Client:
    """A program that sends requests.

    `needs`: the command that must be installed. `answers`: whether it prints its last answer.
    `about`: what is special about its requests.
    """

    name: str
    needs: str
    command: Callable[[Target], Sequence[str]]
    about: str = ""
    answers: bool = True

    @property
    def is_installed(self) -> bool:
        """Whether its command is on the PATH."""
        return shutil.which(self.needs) is not None


def _python(name: str, about: str = "") -> Client:
    def command(target: Target) -> Sequence[str]:
        return [sys.executable, str(PROGRAMS / "python_clients.py"), name, *_words(target)]

    return Client(name, sys.executable, command, about)


def _program(name: str, needs: str, *words: str, about: str = "") -> Client:
    def command(target: Target) -> Sequence[str]:
        return [needs, *(word.format(programs=PROGRAMS) for word in words), *_words(target)]

    return Client(name, needs, command, about)


def _words(target: Target) -> list[str]:
    return [target.base, target.model, str(target.n), str(target.body)]


def _curl(*options: str) -> Callable[[Target], Sequence[str]]:
    def command(target: Target) -> Sequence[str]:
        fixed = ["curl", "-q", "--silent", "--show-error", "--fail", "--header", JSON, *options]
        return [*fixed, "--data-binary", f"@{target.body}", *[target.url] * target.n]

    return command


def _wget(target: Target) -> Sequence[str]:
    fixed = ["wget", "--no-config", "--quiet", "--output-document=-", f"--header={JSON}"]
    return [*fixed, f"--post-file={target.body}", *[target.url] * target.n]


def _ab(target: Target) -> Sequence[str]:
    options = ["-q", "-k", "-c", "1", "-n", str(target.n), "-p", str(target.body)]
    return ["ab", *options, "-T", "application/json", target.url]


def _hey(target: Target) -> Sequence[str]:
    options = ["-c", "1", "-n", str(target.n), "-m", "POST", "-D", str(target.body)]
    return ["hey", *options, "-T", "application/json", target.url]


CLIENTS = (
    Client("curl", "curl", _curl()),
    Client("curl --http2", "curl", _curl("--http2"), "asks to upgrade to HTTP/2"),
    Client("curl --compressed", "curl", _curl("--compressed"), "accepts gzip"),
    Client("wget", "wget", _wget),
    _python("http.client", "head and body in two pieces"),
    _python("urllib", "a connection per request"),
    _python("urllib3", "head and body in two pieces"),
    _python("requests", "head and body in two pieces"),
    _python("httpx", "head and body in two pieces"),
    _python("httpx-async"),
    _python("aiohttp"),
    _python("bentoml", "also reads /schema.json and /readyz"),
    _python("bentoml-async", "also reads /schema.json and /readyz"),
    _python("tritonclient", "Open Inference Protocol, binary tensors in and out"),
    _python("tritonclient-json", "Open Inference Protocol, tensors as JSON"),
    _python("mlflow", "MLflow's /invocations"),
    _program("node fetch", "node", "{programs}/node_client.mjs", "fetch"),
    _program("node http", "node", "{programs}/node_client.mjs", "http", about="chunked body"),
    _program(
        "java.net.http",
        "java",
        "{programs}/JavaClient.java",
        about="asks to upgrade to HTTP/2, in two pieces",
    ),
    _program("perl HTTP::Tiny", "perl", "{programs}/client.pl", "HTTP::Tiny"),
    _program("perl LWP", "perl", "{programs}/client.pl", "LWP", about="Connection: TE"),
    _program("php curl", "php", "{programs}/client.php"),
    _program("ruby Net::HTTP", "ruby", "{programs}/client.rb", about="accepts gzip"),
    Client("ab", "ab", _ab, "HTTP/1.0 with keep-alive", answers=False),
    Client("hey (Go)", "hey", _hey, "Go's net/http", answers=False),
)
