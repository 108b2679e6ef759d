"""What the environment says of monitoring: when a difference counts."""

from dataclasses import dataclass
from pathlib import Path

from contracts.settings import Secret, setting


@dataclass(frozen=True)
class MonitoringSettings:
    """Thresholds of a verdict; the defaults are calibrated on windows without drift."""

    var: Path = setting("SLIPWAY_VAR", Path("var"), "folder of models, traffic and reports")
    alpha: float = setting(
        "SLIPWAY_MONITORING_ALPHA", 0.01, "chance of a false alarm in a window, over all columns"
    )
    distance: float = setting(
        "SLIPWAY_MONITORING_DISTANCE", 0.05, "smallest KS or total variation that counts as drift"
    )
    wasserstein: float = setting(
        "SLIPWAY_MONITORING_WASSERSTEIN",
        0.1,
        "smallest Wasserstein distance, in deviations of the reference, that counts as drift",
    )
    fault_share: float = setting(
        "SLIPWAY_MONITORING_FAULT_SHARE",
        0.005,
        "smallest rise of a share of faulty rows that counts",
    )
    fewest_rows: int = setting(
        "SLIPWAY_MONITORING_FEWEST_ROWS", 100, "rows below which a window says nothing"
    )
    sample_rows: int = setting(
        "SLIPWAY_MONITORING_SAMPLE_ROWS", 5_000, "rows of each side in Evidently's pictures"
    )
    notify: Secret = setting(
        "SLIPWAY_MONITORING_NOTIFY",
        Secret(""),
        "who is told of alarms: addresses of apprise, by comma",
    )
    drift_windows: int = setting(
        "SLIPWAY_MONITORING_DRIFT_WINDOWS",
        2,
        "windows in a row in which a column must drift before people are told",
    )
    quiet_s: float = setting(
        "SLIPWAY_MONITORING_QUIET_S",
        3_600.0,
        "seconds without a prediction after which people are told; 0: never",
    )
    retrain_labels: int = setting(
        "SLIPWAY_MONITORING_RETRAIN_LABELS", 300, "labelled rows of late below which none retrains"
    )
    retrain_importance: float = setting(
        "SLIPWAY_MONITORING_RETRAIN_IMPORTANCE",
        0.1,
        "share of the model's skill that drifted columns must carry to call for a retraining",
    )
    retrain_pause_s: float = setting(
        "SLIPWAY_MONITORING_RETRAIN_PAUSE_S", 21_600.0, "seconds between two retrainings of a model"
    )
    retrain_attempts: int = setting(
        "SLIPWAY_MONITORING_RETRAIN_ATTEMPTS", 3, "most retrainings that answer one alarm"
    )
    retrain_rows: int = setting(
        "SLIPWAY_MONITORING_RETRAIN_ROWS", 200_000, "most labelled rows in a retraining, the newest"
    )
    retrain_timeout_s: float = setting(
        "SLIPWAY_MONITORING_RETRAIN_TIMEOUT_S", 21_600.0, "seconds after which training is ended"
    )
