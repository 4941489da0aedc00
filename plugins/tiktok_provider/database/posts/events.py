"""Events on the asset of all posts that no task can send any more: what is learnt of a post after its task."""

import logging

from airflow.assets.manager import asset_manager
from airflow.models.asset import AssetModel
from airflow.serialization.definitions.assets import SerializedAsset
from sqlalchemy import select
from sqlalchemy.orm import Session

from tiktok_provider.assets import POSTS, event_of, posts_asset
from tiktok_provider.database.posts.rows import to_record
from tiktok_provider.database.tables import PostRow
from tiktok_provider.store.posts import Claimant, PostState

log = logging.getLogger(__name__)


def announce(row: PostRow, claimant: Claimant, *, waited: bool) -> bool:
    """Note that a task hands a post on, and return whether it is the one that may send its event.

    :param waited: whether the task has waited for the post's end; else it must be the one that has sent it.
    """
    if not row.announced_by and (waited or row.task == claimant.task):
        row.announced_by = claimant.try_id
    # The same try asks again after a lost answer.
    return row.announced_by == claimant.try_id


def send_late(session: Session, row: PostRow) -> None:
    """Send an event for a post whose task has handed it on before this was known, in the same transaction.

    Whatever Airflow finds wrong with the event, the record of the post stays.
    """
    if not row.announced_by or row.state != PostState.OUT:
        return
    session.flush()
    try:
        with session.begin_nested():
            _send(session, row)
    except Exception:
        log.exception("The event of post %r of %r could not be sent.", row.post_key, row.conn_id)


def _send(session: Session, row: PostRow) -> None:
    asset = SerializedAsset(name=POSTS, uri=posts_asset().uri, group="asset", extra={}, watchers=[])
    if (
        session.scalar(select(AssetModel.id).where(AssetModel.name == POSTS, AssetModel.uri == asset.uri))
        is None
    ):
        asset_manager.create_assets([asset], session=session)
        session.flush()
    asset_manager.register_asset_change(
        asset=asset,
        extra=event_of(to_record(row), late=True),
        source_alias_names=[POSTS],
        session=session,
    )
