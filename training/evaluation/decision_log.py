"""Logs decisions where they are found later: among the artifacts of the challenger's run."""

from contracts.decision import Decision
from contracts.errors import RegistryUnreachable
from contracts.names import DECISION_FOLDER
from registry.store import Store
from training.evaluation.decision_page import decision_html


def log_decision(store: Store, decision: Decision) -> None:
    """Log a decision to its run in MLflow, as `decision/<id>.json` and as `.html`.

    Raises:
        RegistryUnreachable: the tracking server or its artifact store did not take it.
        Unwritable: the folder for temporary files is full.

    """
    files = {
        f"{decision.decision_id}.json": decision.write_pretty(),
        f"{decision.decision_id}.html": decision_html(decision).encode(),
    }
    try:
        store.artifacts.upload(decision.run_id, DECISION_FOLDER, files)
    except RegistryUnreachable as err:
        raise RegistryUnreachable(
            f"run {decision.run_id}: expected to log the decision {decision.decision_id}, "
            f"got {err.what}",
            remedy="fix the artifact store: no version is promoted without a record",
        ) from err
