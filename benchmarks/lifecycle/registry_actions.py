"""What several people do to a registry at once, each in a separate process."""

import json
import os
import random
import time
import warnings
from collections.abc import Sequence
from pathlib import Path

from registry.listing import list_versions as listed
from registry.mlflow_store.connection import default_uri
from registry.production import reconcile
from registry.promote import promote
from registry.rollback import rollback
from registry.settings import RegistrySettings
from registry.store import Store

CLICKS = 100
"""How many times a person who gets an error clicks again."""
DONE = "done"
"""The file whose presence stops the readers."""
EACH_ROLLBACK = 5


def promote_by_command(
    name: str, actor: str, targets: Sequence[int], longest_pause_s: float
) -> None:
    """Promote one version after the other, and roll back at times, as our commands do.

    What changed is in `<actor>.json`: reason, version before, version after.
    """
    store, done, pauses = Store.open(RegistrySettings()), [], random.Random(actor)
    for number, version in enumerate(targets):
        why = f"{actor}-{number}"
        if number % EACH_ROLLBACK:
            moved = promote(store, name, version, actor=actor, because=why)
        else:
            moved = rollback(store, name, to=version, actor=actor, because=why)
        if moved.changed:
            done.append([why, moved.from_version, moved.to_version])
        time.sleep(pauses.uniform(0, longest_pause_s))
    Path(f"{actor}.json").write_text(json.dumps(done))


def move_by_hand(
    name: str, actor: str, switch: str, targets: Sequence[int], longest_pause_s: float
) -> None:
    """Move alias or stage as a person does in `mlflow ui`, clicking again after an error."""
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    warnings.simplefilter("ignore")
    uri = os.environ.get("MLFLOW_TRACKING_URI") or default_uri(Path.cwd())
    client, pauses = MlflowClient(tracking_uri=uri, registry_uri=uri), random.Random(actor)
    clicks = 0
    for version in targets:
        for _ in range(CLICKS):
            clicks += 1
            try:
                if switch == "alias":
                    client.set_registered_model_alias(name, "production", str(version))
                else:
                    client.transition_model_version_stage(name, str(version), "Production")
            except MlflowException:
                time.sleep(0.02)
            else:
                break
        else:
            raise TimeoutError(f"{actor}: expected MLflow to move {switch}, got errors only")
        time.sleep(pauses.uniform(0, longest_pause_s))
    Path(f"{actor}.json").write_text(json.dumps([clicks]))


def read_until_done(name: str, reader: str) -> None:
    """Ask for Production, and which versions are marked so; the answers are in a file."""
    store, seen = Store.open(RegistrySettings()), []
    while True:
        last = Path(DONE).exists()
        marked = [v.version for v in listed(store, name) if v.is_production]
        seen.append([reconcile(store, name), marked])
        if last:
            break
    Path(f"{reader}.json").write_text(json.dumps(seen))
