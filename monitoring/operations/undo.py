"""The command that undoes what the page shows."""

from monitoring.operations.model_operations import ModelOperations

ALERT_VERBS = {
    "drift": "accept it if it is usual",
    "quality": "accept it if it is usual",
    "performance": "retrain",
}
"""What the command of `end_alert` does, by the kind of alert."""


def undo_production(model: ModelOperations) -> str:
    """How to return to the version that was in production before; empty if there was none."""
    change = model.production
    if change is None or change.previous is None:
        return ""
    return f"slipway rollback {model.name} --to {change.previous}"


def undo_challenger(model: ModelOperations) -> str:
    """How to take the challenger's requests away; empty if it gets none."""
    rollout = model.rollout
    if rollout is None or rollout.challenger is None or rollout.requested in {"", "off"}:
        return ""
    return f"slipway traffic-split {model.name} challenger=off"


def undo_shadow(model: ModelOperations) -> str:
    """How to end the shadow; empty if there is none."""
    rollout = model.rollout
    if rollout is None or rollout.shadow is None:
        return ""
    return f"slipway traffic-split {model.name} shadow=off"


def undo_retraining(model: ModelOperations) -> str:
    """How to return from a promoted retraining; empty if its version is not in production."""
    change, newest = model.production, model.retrainings.retrainings[:1]
    if change is None or not newest or newest[0].state != "promoted":
        return ""
    versions = {newest[0].version, newest[0].refit_version}
    return undo_production(model) if change.version in versions else ""


def end_alert(model: ModelOperations, kind: str, verdict_id: str) -> str:
    """What ends an alert of a kind, if the data is right as it is, or else undoes its cause."""
    if kind in {"drift", "quality"}:
        return f'slipway accept {model.name} {verdict_id} --because "why this is usual"'
    if kind == "performance":
        return f"slipway retrain {model.name} --because {verdict_id} --promote"
    return f"slipway monitor {model.name} --last 1h"
