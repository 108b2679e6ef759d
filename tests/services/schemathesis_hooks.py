"""A check for schemathesis: of a batch each row is judged as the document judges it.

A batch with a bad row answers 200, so schemathesis itself cannot say whether that is wrong.
"""

import json
from typing import Any

import jsonschema_rs
import schemathesis
from schemathesis import Case, CheckContext
from schemathesis.core.transport import Response


@schemathesis.check
def each_row_is_judged_alone(ctx: CheckContext, response: Response, case: "Case[Any]") -> None:
    """A row has a prediction exactly if it is valid."""
    del ctx
    rows = case.body.get("rows") if isinstance(case.body, dict) else None
    is_batch = case.path.endswith("/predict/batch")
    if not is_batch or response.status_code != 200 or not isinstance(rows, list):
        return
    schemas = case.operation.schema.raw_schema["components"]["schemas"]
    name = case.path.split("/")[2].title()
    is_valid = jsonschema_rs.validator_for(schemas[f"{name}Row"]).is_valid
    answer = json.loads(response.content)
    judged = ["error" not in result for result in answer["results"]]
    assert judged == [is_valid(row) for row in rows], (rows, answer)
    assert answer["failed"] == judged.count(False)
