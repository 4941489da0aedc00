"""Whether what is asked for is the post on record under its key, by what is on record."""

import logging
from collections.abc import Mapping

from tiktok_provider.publishing.media.medium import Media
from tiktok_provider.store.posts import PostRecord

log = logging.getLogger(__name__)


def is_another_post(record: PostRecord, media: Media, origin: Mapping[str, str]) -> bool:
    """Tell whether other media, or another task, use the same post key.

    What an older version has not recorded is not compared. Other tasks of a mapped task are the same task.

    :param media: that are asked for; they are read only if where they lie does not tell enough.
    :param origin: of the request.
    """
    named = [name for name in ("dag_id", "task_id") if name in record.origin and name in origin]
    return any(record.origin[name] != origin[name] for name in named) or _has_other_media(record, media)


def _has_other_media(record: PostRecord, media: Media) -> bool:
    if not record.digest:
        return False
    in_place = media.by_place and record.location == media.location
    return not in_place and not has_same_digest(record, media)


def has_same_digest(record: PostRecord, media: Media) -> bool:
    """Tell whether the media are known to be those on record."""
    return bool(record.digest) and record.digest == _digest_if_there(media)


def _digest_if_there(media: Media) -> str:
    try:
        return media.digest
    except Exception as error:
        # Whatever the storage raises: media that cannot be read are not known to be those on record.
        log.info("%s cannot be compared with what is on record: %s", media.location, error)
        return ""
