"""What is counted, through Airflow's own metrics (StatsD, Datadog or OpenTelemetry); docs/events.md lists it."""

POSTS = "tiktok.posts"
POSTS_FAILED = "tiktok.posts_failed"
POSTS_UNCERTAIN = "tiktok.posts_uncertain"
REQUESTS_REPEATED = "tiktok.requests_repeated"
RATE_LIMITED = "tiktok.rate_limited"
BYTES_SENT = "tiktok.bytes_sent"
WAITING_TIME = "tiktok.waiting_time"


def count(name: str, by: int = 1, *, detail: str = "", in_triggerer: bool = False) -> None:
    """Add to a counter.

    :param detail: the last part of its name, for backends without tags.
    :param in_triggerer: there Airflow's core keeps the metrics, elsewhere its Task SDK.
    """
    if in_triggerer:
        from airflow.observability.stats import incr, normalize_name_for_stats
    else:
        from airflow.sdk.observability.stats import incr, normalize_name_for_stats

    full = f"{name}.{normalize_name_for_stats(detail, log_warning=False)}" if detail else name
    incr(full, by)


def time_taken(name: str, seconds: float) -> None:
    """Record how long something took."""
    from airflow.sdk.observability.stats import timing

    timing(name, seconds * 1000.0)
