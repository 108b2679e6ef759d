"""Other model servers: how each is started, asked and understood."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from benchmarks.serving.peer import Peer, Setting
from benchmarks.serving.server import HOST, free_port
from benchmarks.serving.testbed import Row


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
