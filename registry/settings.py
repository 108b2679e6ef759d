"""What the environment says of the registry."""

import getpass
from dataclasses import dataclass
from pathlib import Path

from contracts.settings import setting


@dataclass(frozen=True)
class RegistrySettings:
    """Settings of the registry; the tracking server itself is MLFLOW_TRACKING_URI."""

    var: Path = setting("SLIPWAY_VAR", Path("var"), "folder of models, traffic and reports")
    user: str = setting("SLIPWAY_REGISTRY_ACTOR", "", "who promotes; default: the login name")
    timeout_s: int = setting(
        "SLIPWAY_REGISTRY_TIMEOUT_S", 10, "seconds before a silent tracking server is given up"
    )
    poll_s: float = setting(
        "SLIPWAY_REGISTRY_POLL_S", 2.0, "seconds between looks at Production, while it is followed"
    )

    canary_hold_s: float = setting(
        "SLIPWAY_REGISTRY_CANARY_HOLD_S", 60.0, "seconds that each step of a canary lasts at least"
    )
    trial_timeout_s: float = setting(
        "SLIPWAY_REGISTRY_TRIAL_S",
        60.0,
        "seconds for a version to load and answer; one that takes longer is refused",
    )
    max_model_bytes: int = setting(
        "SLIPWAY_REGISTRY_MODEL_BYTES",
        2 * 1024**3,
        "largest model directory; a version with a larger one is refused, not downloaded",
    )

    @property
    def actor(self) -> str:
        """Who acts, for the history."""
        return self.user or _login_name()


def _login_name() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        # A container may run under a number that no password file names.
        return "unknown"
