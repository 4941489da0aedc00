"""The commands ``airflow tiktok ...``."""
