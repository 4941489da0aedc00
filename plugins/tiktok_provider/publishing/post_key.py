"""The post key: what makes a later run of the same task the same post."""

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tiktok_provider.exceptions import InvalidInputError
from tiktok_provider.store.posts import Claimant

if TYPE_CHECKING:
    from airflow.sdk import Context

LONGEST_KEY = 250


def origin_of(context: "Context") -> dict[str, str]:
    """Return what a post comes from, in words that outlive clears, reprocessing and re-created runs.

    ``run`` is the partition key, else the logical date, else the run id.
    """
    ti: Any = context["ti"]
    run: Any = context["dag_run"]
    if getattr(run, "partition_key", None):
        slot = f"partition {run.partition_key}"
    elif run.logical_date is not None:
        slot = f"date {run.logical_date.isoformat()}"
    else:
        slot = f"run {run.run_id}"
    return {"dag_id": ti.dag_id, "run": slot, "task_id": ti.task_id, "map_index": str(_map_index(ti))}


def post_key_of(chosen: str | None, origin: Mapping[str, str]) -> str:
    """Return the post key.

    :param chosen: what the user has set, after templates are rendered; None takes a hash of the origin.
    :raises InvalidInputError: it is blank or longer than 250 characters.
    """
    if chosen is None:
        parts = "\n".join(origin[name] for name in ("dag_id", "run", "task_id", "map_index"))
        return hashlib.sha256(parts.encode()).hexdigest()[:32]
    if not isinstance(chosen, str) or not chosen.strip() or len(chosen) > LONGEST_KEY:
        raise InvalidInputError(
            [f"post_key is {str(chosen)[:60]!r}, it must be a text of 1 to {LONGEST_KEY} characters"]
        )
    return chosen.strip()


def claimant_of(context: "Context") -> Claimant:
    """Return which try of which task instance this is."""
    ti: Any = context["ti"]
    task = "/".join((ti.dag_id, ti.run_id, ti.task_id, str(_map_index(ti))))
    return Claimant(task=task, try_number=ti.try_number, try_id=str(ti.id))


def _map_index(ti: Any) -> int:
    return -1 if ti.map_index is None else int(ti.map_index)
