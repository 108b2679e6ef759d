"""The usual handler: a pickled scikit-learn pipeline and a DataFrame per request."""

import json
import os
from typing import Any

import joblib
import pandas as pd

PIPELINE = joblib.load(os.environ["PIPELINE"])


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """The probabilities of one row."""
    del context
    frame = pd.DataFrame([json.loads(event["body"])])
    probabilities = PIPELINE.predict_proba(frame)[0].tolist()
    return {"statusCode": 200, "body": json.dumps({"probabilities": probabilities})}
