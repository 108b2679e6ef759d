"""Logs reports and verdicts as artifacts of the MLflow run of the version."""

from pathlib import Path

from contracts.errors import PlatformError, first_line

ARTIFACT_FOLDER = "monitoring"


def log_to_run(tracking_uri: str, run_id: str, files: list[Path]) -> None:
    """Add files to a run's artifacts under `monitoring/`.

    Raises:
        PlatformError: the tracking server did not accept them; they are still on disk.

    """
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    client = MlflowClient(tracking_uri=tracking_uri)
    try:
        for path in files:
            client.log_artifact(run_id, str(path), ARTIFACT_FOLDER)
    except (MlflowException, OSError) as err:
        raise PlatformError(
            f"run {run_id}: expected to log {files[-1]}, got {first_line(err)}",
            remedy="the verdict is on disk; judge the window again when the server answers",
        ) from err
