"""Who is measured: how each is started, asked and understood.

All get the same rows and the same fitted pipeline; each gets them in its own words.
"""

import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.serving.server import HOST, Server, free_port
from benchmarks.serving.workplace import Row, Workplace, quiet_environ

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


class Mlflow(Peer):
    """MLflow's own scoring server."""

    name = "mlflow"
    about = "mlflow models serve --env-manager local"
    ready_path = "/ping"

    def command(self, setting: Setting, port: int) -> Sequence[str]:
        """MLflow's command, on the model that it saved."""
        return [
            *(str(setting.python.with_name("mlflow")), "models", "serve"),
            *("--model-uri", str(setting.place.mlflow_model(setting.model))),
            *("--env-manager", "local", "--host", HOST, "--port", str(port)),
        ]

    def path(self, model: str, *, batch: bool) -> str:
        """One path for all."""
        del model, batch
        return "/invocations"

    def body(self, rows: Sequence[Row], *, batch: bool) -> object:
        """Records of a DataFrame."""
        del batch
        return {"dataframe_records": rows}

    def scores(self, answer: Any, *, batch: bool) -> list[float]:
        """The last number of each row."""
        del batch
        return [row[-1] if isinstance(row, list) else row for row in answer["predictions"]]


class LitServe(Peer):
    """LitServe with batching."""

    name = "litserve"
    about = "LitServe, up to 32 requests per batch, 2 workers"
    takes_batches = False
    ready_path = "/health"

    def command(self, setting: Setting, port: int) -> Sequence[str]:
        """Its script."""
        return [str(setting.python), "serve.py", str(port)]

    def path(self, model: str, *, batch: bool) -> str:
        """One path."""
        del model, batch
        return "/predict"

    def scores(self, answer: Any, *, batch: bool) -> list[float]:
        """The score."""
        del batch
        return [answer["score"]]


class MlServer(Peer):
    """MLServer with its scikit-learn runtime and adaptive batching."""

    name = "mlserver"
    about = "MLServer, scikit-learn runtime, adaptive batching up to 32"
    ready_path = "/v2/models/{model}/ready"

    def command(self, setting: Setting, port: int) -> Sequence[str]:
        """MLServer's command, on a folder with the model's settings."""
        del port
        described = {
            "name": setting.model,
            "implementation": "mlserver_sklearn.SKLearnModel",
            "max_batch_size": 32,
            "max_batch_time": 0.005,
            "parameters": {"uri": str(setting.place.pipeline(setting.model))},
        }
        (setting.folder / "model-settings.json").write_bytes(msgspec.json.encode(described))
        return [str(setting.python.with_name("mlserver")), "start", str(setting.folder)]

    def environ(self, setting: Setting, port: int) -> Mapping[str, str]:
        """Its ports, and no log of each request."""
        del setting
        ports = {"GRPC": free_port(), "METRICS": free_port(), "HTTP": port}
        return {f"MLSERVER_{name}_PORT": str(value) for name, value in ports.items()} | {
            "MLSERVER_HOST": HOST,
            "MLSERVER_DEBUG": "false",
        }

    def path(self, model: str, *, batch: bool) -> str:
        """The open inference protocol's."""
        del batch
        return f"/v2/models/{model}/infer"

    def body(self, rows: Sequence[Row], *, batch: bool) -> object:
        """Columns, as the open inference protocol has them."""
        del batch
        wanted = "predict_proba" if "credit_score" in rows[0] else "predict"
        return {
            "parameters": {"content_type": "pd"},
            "inputs": [_tensor(name, [row[name] for row in rows]) for name in rows[0]],
            "outputs": [{"name": wanted}],
        }

    def scores(self, answer: Any, *, batch: bool) -> list[float]:
        """The last number of each row of the output tensor."""
        del batch
        output = answer["outputs"][0]
        n_rows, n_numbers = output["shape"]
        return [output["data"][(row + 1) * n_numbers - 1] for row in range(n_rows)]


class BentoMl(Peer):
    """BentoML as documented."""

    name = "bentoml"
    about = "bentoml serve of a batchable API with the scikit-learn pipeline"
    ready_path = "/readyz"

    def command(self, setting: Setting, port: int) -> Sequence[str]:
        """`bentoml serve` of the peer's own environment."""
        return [
            *(str(setting.python), "-m", "bentoml", "serve"),
            *("--host", HOST, "--port", str(port)),
        ]

    def environ(self, setting: Setting, port: int) -> Mapping[str, str]:
        """A store of its own."""
        del port
        return {"BENTOML_HOME": str(setting.folder / "bentoml")}

    def path(self, model: str, *, batch: bool) -> str:
        """The method's name."""
        del model, batch
        return "/predict"

    def body(self, rows: Sequence[Row], *, batch: bool) -> object:
        """A batchable method takes a list, also of one."""
        del batch
        return {"rows": rows}

    def scores(self, answer: Any, *, batch: bool) -> list[float]:
        """The list."""
        del batch
        return list(answer)


def _tensor(name: str, values: Sequence[object]) -> Mapping[str, object]:
    kinds = {bool: "BOOL", int: "INT64", float: "FP64", str: "BYTES"}
    text = {"parameters": {"content_type": "str"}} if isinstance(values[0], str) else {}
    kind = kinds[type(values[0])]
    return {"name": name, "shape": [len(values), 1], "datatype": kind, "data": values, **text}


PEERS: tuple[Peer, ...] = (
    Slipway(),
    Echo(),
    Nginx(),
    FastApi(),
    LitServe(),
    MlServer(),
    BentoMl(),
    Mlflow(),
)
"""In this order they are measured in each round; the ceiling right after us."""


def peer(name: str) -> Peer:
    """The peer of that name."""
    return next(p for p in PEERS if p.name == name)
