"""What Airflow's own tables know of the try that holds a post."""

from uuid import UUID

from airflow.models.taskinstance import TaskInstance
from airflow.utils.state import State
from sqlalchemy import select
from sqlalchemy.orm import Session

from tiktok_provider.database.posts.rows import find


def is_over(session: Session, conn_id: str, post_key: str, try_id: str) -> bool:
    """See ``PostService.is_try_over``. A clear gives the task instance another id."""
    row = find(session, conn_id, post_key)
    if row is None or row.try_id != try_id:
        return False
    state = session.scalar(select(TaskInstance.state).where(TaskInstance.id == UUID(try_id)))
    return state is None or state in State.finished
