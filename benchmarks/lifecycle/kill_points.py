"""The steps at which processes are killed: right before or after the nth call of a function."""

from collections.abc import Iterator

from benchmarks.lifecycle.processes import Step

MODELS, VERSIONS, ARTIFACTS = (
    "registry.mlflow_store.models",
    "registry.mlflow_store.versions",
    "registry.mlflow_store.artifacts",
)
PROMOTE, ROLLBACK, PULL = "registry.promote", "registry.rollback", "registry.pull"
FITTING, TRAINING, TRACKING = "training.fitting", "training.run", "training.tracking"
SESSION = "sqlalchemy.orm.session"
BOTH = (True, False)


def around(module: str, function: str, *calls: int) -> Iterator[Step]:
    """Before and after each of these calls; of the first, if none is named."""
    for call in calls or (1,):
        for before in BOTH:
            yield Step(module, function, before, call)


STEPS: dict[str, tuple[Step, ...]] = {
    "train": (
        *around(TRACKING, "mlflow.set_experiment"),
        *around(TRACKING, "mlflow.start_run"),
        *around(FITTING, "load_table"),
        *around(FITTING, "fitted_pipeline"),
        *around(FITTING, "served_form"),
        *around("training.forms", "certify_on"),
        Step("shutil", "copyfile", call=1),
        Step("shutil", "copyfile", call=3),
        *around(TRACKING, "mlflow.log_artifacts", 1, 2),
        *around(TRACKING, "mlflow.log_input"),
        *around(TRACKING, "mlflow.log_params"),
        *around(TRACKING, "mlflow.log_metrics"),
        Step("mlflow.sklearn", "save_model"),
        Step("mlflow.sklearn", "save_model", before=False),
        *around(TRACKING, "mlflow.sklearn.log_model"),
        *around(TRAINING, "register_version"),
    ),
    "register": (
        *around(MODELS, "Models.ensure"),
        *around(VERSIONS, "Versions.create"),
        *around(SESSION, "Session.flush", 1, 2),
        *around(SESSION, "Session.commit", 1, 2),
    ),
    "promote": (
        *around(PROMOTE, "reconcile_locked", 1, 2),
        *around(PROMOTE, "fetch_manifest", 1, 2),
        *around("training.evaluation.decision_log", "log_decision"),
        *around(ARTIFACTS, "Artifacts.upload"),
        *around(PROMOTE, "record"),
        *around(PROMOTE, "set_production"),
    ),
    "rollback": (
        *around(ROLLBACK, "reconcile_locked"),
        *around(PROMOTE, "record"),
        *around(PROMOTE, "set_production"),
        *around(MODELS, "Models.set_alias"),
        *around(VERSIONS, "Versions.move_to_production_stage"),
        *around(MODELS, "Models.set_tag", 1, 2),
        *around(SESSION, "Session.commit", 3, 5, 7, 9, 11, 13, 15, 17),
    ),
    "pull": (
        *around(PULL, "reconcile"),
        *around(ARTIFACTS, "Artifacts.download"),
        Step("shutil", "copyfile", call=3),
        *around(PULL, "flush", 1, 5),
        *around(PULL, "_rename_into_place"),
        Step("shutil", "copytree"),
        Step("shutil", "copyfile", call=10),
        *around("registry.bento_store", "_rename_into_place"),
        *around("registry.trial", "subprocess.run"),
        *around(PULL, "write_pointer"),
        *around("registry.pointers", "write_whole"),
    ),
    "follow": (
        *around("registry.follow", "reconcile"),
        *around("registry.preparation", "fetch_version"),
        *around(ARTIFACTS, "Artifacts.download"),
        *around(PULL, "_rename_into_place"),
        *around("registry.trial", "subprocess.run"),
        *around("registry.follow", "write_pointer"),
    ),
    "refuse": (
        Step("registry.preparation", "fetch_version"),
        *around("registry.trial", "subprocess.run"),
        *around("registry.follow", "refuse"),
        *around("registry.refusals", "write_whole"),
        *around(VERSIONS, "Versions.set_tag"),
    ),
    "swap": (
        *around("services.inference.model_source", "ModelSource.pointers"),
        *around("services.serving.watcher", "load_model"),
        *around("services.inference.loader", "verified_manifest"),
        *around("services.inference.loader", "inline_rows"),
        *around("services.serving.repository", "ModelRepository.load"),
        *around("services.serving.watcher", "PointerWatcher._retire"),
        *around("services.inference.jsonl_log", "JsonlLog.append_block", 1, 2),
        *around("services.inference.jsonl_log", "JsonlLog.close", 1, 2),
    ),
}
"""By act; `refuse` is the act `follow` where the alias names a version that is broken."""
