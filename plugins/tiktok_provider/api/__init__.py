"""A pure client of TikTok's API. It imports nothing of Airflow.

Each endpoint is one generator that yields requests and returns a parsed value; ``drivers`` runs it on a
synchronous or an asynchronous HTTP client.
"""
