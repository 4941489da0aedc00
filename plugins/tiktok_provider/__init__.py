"""Publish to TikTok from Apache Airflow.

Airflow discovers providers while its configuration is still being built, so nothing may be imported here.
"""

__version__ = "0.1.0"
