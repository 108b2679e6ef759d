"""Settings of the registry, from environment variables."""

import getpass
from dataclasses import dataclass
from pathlib import Path

from contracts.settings import setting


@dataclass(frozen=True)
class RegistrySettings:
    """Settings of the registry; the tracking server itself is MLFLOW_TRACKING_URI."""

    var: Path = setting("SLIPWAY_VAR", Path("var"), "folder of models, traffic and reports")
    user: str = setting(
        "SLIPWAY_REGISTRY_ACTOR", "", "name in the history of promotions; default: the login name"
    )
    timeout_s: int = setting(
        "SLIPWAY_REGISTRY_TIMEOUT_S", 10, "seconds to wait for a tracking server that is silent"
    )
    poll_s: float = setting(
        "SLIPWAY_REGISTRY_POLL_S", 2.0, "seconds between checks of Production while following it"
    )
    canary_hold_s: float = setting(
        "SLIPWAY_REGISTRY_CANARY_HOLD_S", 60.0, "minimum seconds for each step of a canary"
    )
    trial_timeout_s: float = setting(
        "SLIPWAY_REGISTRY_TRIAL_S",
        60.0,
        "seconds for a version to load and answer; a slower one is refused",
    )
    signers: str = setting(
        "SLIPWAY_REGISTRY_SIGNERS",
        "",
        "file of those who may sign versions; others are refused; default: nobody has to sign",
    )
    signing_key: str = setting(
        "SLIPWAY_REGISTRY_SIGNING_KEY", "", "private key that signs each version at registration"
    )
    max_model_bytes: int = setting(
        "SLIPWAY_REGISTRY_MODEL_BYTES",
        2 * 1024**3,
        "maximum size of a model directory; a larger version is refused, not downloaded",
    )

    @property
    def actor(self) -> str:
        """The name of the person that acts, for the history."""
        return self.user or _login_name()


def _login_name() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        # A container may run under a user id that no password file names.
        return "unknown"
