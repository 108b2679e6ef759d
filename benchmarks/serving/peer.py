"""Who is measured: how each is started, asked and understood.

All get the same rows and the same fitted pipeline; each gets them in its own words.
"""

import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.serving.server import HOST, Server, free_port
from benchmarks.serving.testbed import Row, Workplace, quiet_environ

FOLDER = Path(__file__).with_name("peers")
NGINX_CONF = """
daemon off;
worker_processes 1;
pid %(folder)s/nginx.pid;
error_log stderr error;
events { worker_connections 1024; }
http {
  access_log off;
  keepalive_requests 1000000000;
  client_body_temp_path %(folder)s/body; proxy_temp_path %(folder)s/proxy;
  fastcgi_temp_path %(folder)s/fastcgi; uwsgi_temp_path %(folder)s/uwsgi;
  scgi_temp_path %(folder)s/scgi;
  server {
    listen 127.0.0.1:%(port)d;
    default_type application/json;
    location / { return 200 '%(answer)s'; }
  }
}
"""


@dataclass(frozen=True)
class Setting:
    """Where and with what a peer is started.

    `answer_bytes`: how long Slipway's answers are to one row and to a batch.
    """

    place: Workplace
    model: str
    python: Path
    answer_bytes: tuple[int, int]
    folder: Path
    """The peer's own throwaway folder."""


class Peer(ABC):
    """One that is measured."""

    name: str
    about: str
    takes_batches = True
    predicts = True
    """Whether its answers are predictions, which are compared with the pipeline's."""
    ready_path = "/ready"

    @abstractmethod
    def command(self, setting: Setting, port: int) -> Sequence[str]:
        """The words that start it."""

    @abstractmethod
    def path(self, model: str, *, batch: bool) -> str:
        """Where it is asked."""

    def body(self, rows: Sequence[Row], *, batch: bool) -> object:
        """The request body for these rows."""
        return {"rows": rows} if batch else rows[0]

    @abstractmethod
    def scores(self, answer: Any, *, batch: bool) -> list[float]:
        """Return one number per row: the probability of the second class, or the value."""

    def environ(self, setting: Setting, port: int) -> Mapping[str, str]:
        """Return the environment variables to start it with, besides the pipeline's path."""
        del setting, port
        return {}

    def server(self, setting: Setting, cores: str) -> Server:
        """The server, not yet started."""
        port = free_port()
        setting.folder.mkdir(parents=True, exist_ok=True)
        own = FOLDER / self.name
        environ = quiet_environ() | {
            "PATH": f"{setting.python.parent}:{quiet_environ()['PATH']}",
            "BENCHMARK_MODEL": setting.model,
            "BENCHMARK_PIPELINE": str(setting.place.pipeline(setting.model)),
        }
        return Server(
            self.command(setting, port),
            cwd=own if own.is_dir() else setting.folder,
            environ={**environ, **self.environ(setting, port)},
            port=port,
            ready_path=self.ready_path.format(model=setting.model),
            log=setting.folder / "server.log",
            cores=cores,
        )


class Slipway(Peer):
    """This repository: plain `bentoml serve`, with validation, metrics and traffic log."""

    name = "slipway"
    about = "bentoml serve of this repository, one worker"
    ready_path = "/readyz"

    def command(self, setting: Setting, port: int) -> Sequence[str]:
        """`bentoml serve` of the environment in which the benchmark runs."""
        del setting
        return [sys.executable, "-m", "bentoml", "serve", "--host", HOST, "--port", str(port)]

    def environ(self, setting: Setting, port: int) -> Mapping[str, str]:
        """The workplace's own."""
        del port
        return setting.place.environ

    def path(self, model: str, *, batch: bool) -> str:
        """As docs/requests.md says."""
        return f"/models/{model}/predict" + ("/batch" if batch else "")

    def scores(self, answer: Any, *, batch: bool) -> list[float]:
        """The last of the probabilities or values."""
        answers = answer["results"] if batch else [answer]
        return [list((a.get("probabilities") or a["values"]).values())[-1] for a in answers]

    def server(self, setting: Setting, cores: str) -> Server:
        """In the workplace, where the models were pulled."""
        port = free_port()
        return Server(
            self.command(setting, port),
            cwd=setting.place.root,
            environ=self.environ(setting, port),
            port=port,
            ready_path=self.ready_path,
            log=setting.folder / "server.log",
            cores=cores,
        )


class Echo(Peer):
    """The ceiling of this web server: nothing is computed."""

    name = "echo"
    about = "bare uvicorn (uvloop, httptools), a constant answer of the same size: the ceiling"
    predicts = False

    def command(self, setting: Setting, port: int) -> Sequence[str]:
        """Uvicorn, as BentoML runs it."""
        return [
            *(str(setting.python), "-m", "uvicorn", "app:app", "--host", HOST, "--port", str(port)),
            *("--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level=warning"),
        ]

    def environ(self, setting: Setting, port: int) -> Mapping[str, str]:
        """How long its answers are."""
        del port
        one, batch = setting.answer_bytes
        return {"BENCHMARK_ONE_BYTES": str(one), "BENCHMARK_BATCH_BYTES": str(batch)}

    def path(self, model: str, *, batch: bool) -> str:
        """As ours."""
        return f"/models/{model}/predict" + ("/batch" if batch else "")

    def scores(self, answer: Any, *, batch: bool) -> list[float]:
        """None: it says nothing of the rows."""
        del answer, batch
        return []


class Nginx(Echo):
    """The floor of any HTTP server: a constant answer without reading what was asked."""

    name = "nginx"
    about = "nginx, one worker, a constant answer of the same size: the floor of CPU per request"
    takes_batches = False

    def command(self, setting: Setting, port: int) -> Sequence[str]:
        """Run nginx in the foreground, with all its files in the peer's folder."""
        answer = '{"echo":"%s"}' % ("x" * (setting.answer_bytes[0] - len('{"echo":""}')))
        conf = setting.folder / "nginx.conf"
        conf.write_text(NGINX_CONF % {"folder": setting.folder, "port": port, "answer": answer})
        return ["nginx", "-p", str(setting.folder), "-c", str(conf), "-e", "stderr"]


class FastApi(Peer):
    """What most people write first."""

    name = "fastapi"
    about = (
        "the tutorial: FastAPI, pydantic, joblib pipeline, one DataFrame per request, one worker"
    )

    def command(self, setting: Setting, port: int) -> Sequence[str]:
        """Uvicorn with the extras that FastAPI's own pages install, and no access log."""
        return [
            *(str(setting.python), "-m", "uvicorn", "app:app", "--host", HOST, "--port", str(port)),
            "--no-access-log",
        ]

    def path(self, model: str, *, batch: bool) -> str:
        """Return the path of the model's own function."""
        return f"/{model}/batch" if batch else f"/{model}"

    def scores(self, answer: Any, *, batch: bool) -> list[float]:
        """What the function returned."""
        if batch:
            return list(answer["probabilities"])
        return [answer.get("probability", answer.get("value"))]
