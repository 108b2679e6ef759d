"""What `/livez` says beyond BentoML's "it lives": models that stand still."""

from services.inference.json_templates import encode
from services.serving.repository import ModelRepository
from services.serving.watchdog import models_without_process, standing_models

LIVENESS_PATH = "/livez"


def liveness(repository: ModelRepository, deadline_s: float) -> tuple[int, bytes] | None:
    """Status and body of the answer; None if there is nothing to add to BentoML's.

    503 if a model call stands still in this worker, which ends soon. A model whose scoring
    process is being replaced takes nothing from the others: 200, and its name.
    """
    standing = standing_models(repository, deadline_s)
    if standing:
        return 503, encode({"live": False, "standing_still": standing})
    waiting = models_without_process(repository)
    if waiting:
        return 200, encode({"live": True, "process_being_replaced": waiting})
    return None
