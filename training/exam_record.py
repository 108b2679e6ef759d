"""Where decisions are found again: among the artifacts of the challenger's run."""

import tempfile
from pathlib import Path

from contracts.decision import Decision
from contracts.errors import RegistryUnreachable
from registry.directory import unwritable
from registry.store import Store
from training.exam_page import page

FOLDER = "decision"


def keep(store: Store, decision: Decision) -> None:
    """Log a decision to its run in MLflow, as `decision/<id>.json` and as `.html`.

    Raises:
        RegistryUnreachable: the tracking server or its artifact store did not take it.
        Unwritable: the folder for temporary files is full.

    """
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    uri = store.tracking_uri
    with tempfile.TemporaryDirectory() as folder:
        files = _written(decision, Path(folder))
        try:
            run = MlflowClient(tracking_uri=uri, registry_uri=uri).get_run(decision.run_id)
            # The client itself remembers where a run's artifacts were; they may have moved.
            repository = get_artifact_repository(run.info.artifact_uri, tracking_uri=uri)
            for path in files:
                repository.log_artifact(str(path), FOLDER)
        except (MlflowException, OSError) as err:
            raise RegistryUnreachable(
                f"run {decision.run_id}: expected to log the decision {decision.decision_id}, "
                f"got {(str(err) or type(err).__name__).splitlines()[0]}",
                remedy="mend the artifact store: a version is not promoted unrecorded",
            ) from err


def _written(decision: Decision, folder: Path) -> list[Path]:
    document, readable = (folder / f"{decision.decision_id}.{end}" for end in ("json", "html"))
    try:
        document.write_bytes(decision.write_pretty())
        readable.write_text(page(decision), encoding="utf-8")
    except OSError as err:
        raise unwritable(folder, err.strerror or str(err)) from err
    return [document, readable]
