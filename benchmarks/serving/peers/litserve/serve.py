"""LitServe as its documentation batches: up to 32 requests in a call, two workers."""

import os
import sys
from typing import Any

import joblib
import litserve as ls  # type: ignore[import-not-found]  # it is in the peer's environment only
import pandas as pd

BATCH_SIZE = 32
BATCH_TIMEOUT_S = 0.005


class Scores(ls.LitAPI):
    """One row in, one number out."""

    def setup(self, device: str) -> None:
        """Load the pipeline, in each worker."""
        del device
        self.pipeline = joblib.load(os.environ["BENCHMARK_PIPELINE"])

    def batch(self, inputs: list[dict[str, Any]]) -> pd.DataFrame:
        """The rows that came together, as a table."""
        return pd.DataFrame(inputs)

    def predict(self, frame: pd.DataFrame) -> list[float]:
        """A number for each row."""
        if os.environ["BENCHMARK_MODEL"] == "loan":
            scores: list[float] = self.pipeline.predict_proba(frame)[:, 1].tolist()
        else:
            scores = self.pipeline.predict(frame).tolist()
        return scores

    def unbatch(self, output: list[float]) -> list[float]:
        """The numbers, one a request."""
        return output

    def encode_response(self, output: float) -> dict[str, float]:
        """The answer."""
        return {"score": output}


if __name__ == "__main__":
    api = Scores(max_batch_size=BATCH_SIZE, batch_timeout=BATCH_TIMEOUT_S)
    server = ls.LitServer(api, accelerator="cpu", workers_per_device=2)
    server.run(host="127.0.0.1", port=int(sys.argv[1]), generate_client_file=False)
