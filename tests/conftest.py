"""Fixtures for all tests. The sandbox's own fixture comes with the package (tiktok_sandbox.pytest_plugin)."""

import os
import tempfile

import httpx
from hypothesis import HealthCheck, settings

# Before anything imports Airflow: tests neither read nor write the Airflow of whoever runs them.
os.environ["AIRFLOW_HOME"] = tempfile.mkdtemp(prefix="airflow-home-")
os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"

# How long an example takes says more of the machine than of us.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")
# So does how long a server in the same process takes to answer: httpx's own five seconds are for others.
for limit in ("connect", "read", "write", "pool"):
    setattr(httpx._config.DEFAULT_TIMEOUT_CONFIG, limit, 60.0)
