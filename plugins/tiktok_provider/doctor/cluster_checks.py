"""Do the components share what they must? These checks need no database, and say nothing on a single machine."""

from airflow.sdk.configuration import conf

from tiktok_provider.doctor.checks import Check, CheckWarningError

# By these, components decrypt what another one has encrypted, and recognize each other.
_SHARED = (("core", "fernet_key"), ("api_auth", "jwt_secret"), ("api", "secret_key"))
# Seconds. An upload may take an hour; a task that is not done by then would be delivered a second time and cut off.
LEAST_VISIBILITY = 7200


def shared_secrets(_: None) -> str:
    """Were the secrets given to this component, or has it made its own?"""
    if not _is_distributed():
        return "All runs on one machine."
    sources = conf.as_dict(display_source=True)
    own = [
        f"[{section}] {option}"
        for section, option in _SHARED
        if sources.get(section, {}).get(option, ("", ""))[1] in ("airflow.cfg", "default")
    ]
    if own:
        raise CheckWarningError(
            f"This component may have made secrets of its own: {', '.join(own)}\n"
            "They come from its airflow.cfg, which Airflow writes with new ones where there is none. Give every"
            " component the same values, for example in the environment."
        )
    return "The secrets were given to this component."


def visibility_timeout(_: None) -> str:
    """May Celery deliver a running task a second time?"""
    seconds = conf.getint("celery_broker_transport_options", "visibility_timeout", fallback=LEAST_VISIBILITY)
    if not _uses_celery() or seconds >= LEAST_VISIBILITY:
        return "No running task is delivered a second time."
    raise CheckWarningError(
        f"[celery_broker_transport_options] visibility_timeout is {seconds} s: it cuts uploads.\n"
        "Celery delivers a task again that runs for longer, and Airflow then ends the first one. Leave it at 86400:"
        " a worker that is gone is noticed by its heartbeats."
    )


def result_backend(_: None) -> str:
    """Does this worker tell the scheduler how its tasks end?"""
    if _uses_celery() and not conf.get("celery", "result_backend", fallback=None):
        raise CheckWarningError(
            "[celery] result_backend is not set for this worker.\n"
            "It then keeps results where the scheduler does not look, whose slots fill up until no task of any DAG"
            " starts any more. Set it to the same value as for the scheduler."
        )
    return "Results go where the scheduler reads them."


def _uses_celery() -> bool:
    return "CeleryExecutor" in conf.get("core", "executor", fallback="")


def _is_distributed() -> bool:
    return any(name in conf.get("core", "executor", fallback="") for name in ("Celery", "Kubernetes", "Edge"))


SHARED_SECRETS = Check("shared secrets", shared_secrets)
VISIBILITY_TIMEOUT = Check("visibility timeout", visibility_timeout)
RESULT_BACKEND = Check("result backend", result_backend)
