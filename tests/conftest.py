"""Fixtures for all tests. The sandbox's own fixture comes with the package (tiktok_sandbox.pytest_plugin)."""

import os
import tempfile

# Before anything imports Airflow: tests neither read nor write the Airflow of whoever runs them.
os.environ["AIRFLOW_HOME"] = tempfile.mkdtemp(prefix="airflow-home-")
os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"
