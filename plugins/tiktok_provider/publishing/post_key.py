"""The post key: what makes a later run of the same task the same post."""

import hashlib
import unicodedata
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tiktok_provider.exceptions import InvalidInputError
from tiktok_provider.store.posts import Claimant

if TYPE_CHECKING:
    from airflow.sdk import Context

LONGEST_KEY = 250
_NOT_MAPPED = "-1"


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


def post_key_of(chosen: str | None, origin: Mapping[str, str], media_name: str = "") -> str:
    """Return the post key.

    :param chosen: what the user has set, after templates are rendered; None takes a hash of the origin.
    :param media_name: of the media. Of a mapped task it is part of the hash, and not the map index: that is a
        position, which another entry of the list can have tomorrow.
    :raises InvalidInputError: it is blank, longer than 250 characters, or has control characters.
    """
    if chosen is None:
        mapped = origin["map_index"] != _NOT_MAPPED
        parts = (origin["dag_id"], origin["run"], origin["task_id"], media_name if mapped else _NOT_MAPPED)
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]
    key = chosen.strip()
    if not key or len(key) > LONGEST_KEY:
        raise InvalidInputError([f"post_key has {len(key)} characters, it must have 1 to {LONGEST_KEY}"])
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in key):
        raise InvalidInputError([f"post_key is {key[:60]!r}: it must have no control characters"])
    return key


def claimant_of(context: "Context") -> Claimant:
    """Return which try of which task instance this is."""
    ti: Any = context["ti"]
    task = "/".join((ti.dag_id, ti.run_id, ti.task_id, str(_map_index(ti))))
    return Claimant(task=task, try_number=ti.try_number, try_id=str(ti.id))


def _map_index(ti: Any) -> int:
    return -1 if ti.map_index is None else int(ti.map_index)
