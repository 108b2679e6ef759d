"""BentoML as documented: a batchable API with the scikit-learn pipeline."""

import os
from typing import Any

import bentoml
import joblib
import pandas as pd


@bentoml.service(name="documented")
class Documented:
    """Rows in, a number for each out; BentoML joins the rows of requests that come together."""

    def __init__(self) -> None:
        self.pipeline = joblib.load(os.environ["BENCHMARK_PIPELINE"])
        self.is_loan = os.environ["BENCHMARK_MODEL"] == "loan"

    @bentoml.api(batchable=True)
    def predict(self, rows: list[dict[str, Any]]) -> list[float]:
        """The chance that a loan is repaid, or the progression of diabetes."""
        frame = pd.DataFrame(rows)
        if self.is_loan:
            return [float(score) for score in self.pipeline.predict_proba(frame)[:, 1]]
        return [float(score) for score in self.pipeline.predict(frame)]
