"""What every test shares: no telemetry, and no verdict on a machine's speed."""

import os

from hypothesis import HealthCheck, settings

os.environ.update(MLFLOW_DISABLE_TELEMETRY="true", BENTOML_DO_NOT_TRACK="True", DO_NOT_TRACK="1")

# Machines that run tests are shared and slow at times; a claim here never is about speed.
settings.register_profile("claims", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("claims")
