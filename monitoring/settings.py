"""Settings of monitoring, read from the environment."""

from dataclasses import dataclass

from contracts.settings import Secret, setting


@dataclass(frozen=True)
class MonitoringSettings:
    """When a difference counts, whom to alert, and when a model is retrained.

    The defaults of the thresholds are calibrated on windows without drift.
    """

    alpha: float = setting(
        "SLIPWAY_MONITORING_ALPHA", 0.01, "chance of a false alarm in a window, over all columns"
    )
    distance: float = setting(
        "SLIPWAY_MONITORING_DISTANCE", 0.05, "smallest KS or total variation that counts as drift"
    )
    wasserstein: float = setting(
        "SLIPWAY_MONITORING_WASSERSTEIN",
        0.1,
        "smallest Wasserstein distance that counts as drift, in reference standard deviations",
    )
    fault_share: float = setting(
        "SLIPWAY_MONITORING_FAULT_SHARE",
        0.0025,
        "smallest rise of the share of faulty rows that counts",
    )
    fewest_rows: int = setting(
        "SLIPWAY_MONITORING_FEWEST_ROWS", 100, "rows below which a window is not judged"
    )
    time_zone: str = setting(
        "SLIPWAY_MONITORING_TIME_ZONE",
        "UTC",
        "time zone of the hours and weekdays that columns depend on, such as Europe/Berlin",
    )
    service_url: str = setting(
        "SLIPWAY_MONITORING_SERVICE_URL",
        "http://127.0.0.1:3000",
        "service whose counts of errors are on the operations page",
    )
    sample_rows: int = setting(
        "SLIPWAY_MONITORING_SAMPLE_ROWS",
        5_000,
        "rows of the window and of the reference in Evidently's charts",
    )
    notify: Secret = setting(
        "SLIPWAY_MONITORING_NOTIFY",
        Secret(""),
        "recipients of alerts: Apprise addresses, separated by commas",
    )
    drift_windows: int = setting(
        "SLIPWAY_MONITORING_DRIFT_WINDOWS",
        2,
        "consecutive windows in which a column must drift before an alert",
    )
    performance_windows: int = setting(
        "SLIPWAY_MONITORING_PERFORMANCE_WINDOWS",
        2,
        "consecutive windows that labels must show to be worse before an alert",
    )
    quiet_s: float = setting(
        "SLIPWAY_MONITORING_QUIET_S",
        3_600.0,
        "seconds without a prediction before an alert; 0: never",
    )
    retrain_labels: int = setting(
        "SLIPWAY_MONITORING_RETRAIN_LABELS",
        300,
        "minimum number of recent labelled predictions for a retraining",
    )
    retrain_importance: float = setting(
        "SLIPWAY_MONITORING_RETRAIN_IMPORTANCE",
        0.1,
        "minimum share of the model's skill in drifted columns for a retraining",
    )
    retrain_pause_s: float = setting(
        "SLIPWAY_MONITORING_RETRAIN_PAUSE_S",
        21_600.0,
        "minimum seconds between two retrainings of a model",
    )
    retrain_attempts: int = setting(
        "SLIPWAY_MONITORING_RETRAIN_ATTEMPTS",
        3,
        "refusals of one alarm from which on each further retraining waits for twice the rows",
    )
    retrain_rows: int = setting(
        "SLIPWAY_MONITORING_RETRAIN_ROWS",
        200_000,
        "maximum number of labelled rows in a retraining; the newest are used",
    )
    retrain_timeout_s: float = setting(
        "SLIPWAY_MONITORING_RETRAIN_TIMEOUT_S", 21_600.0, "seconds after which training is stopped"
    )
