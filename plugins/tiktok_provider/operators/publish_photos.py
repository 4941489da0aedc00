"""Publish photos to a creator's profile (TikTok's "direct post")."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from tiktok_provider.operators.direct_post import TikTokDirectPostOperator
from tiktok_provider.operators.photo_parameters import PHOTO_FIELDS, PHOTO_TYPES, PhotoParameters

if TYPE_CHECKING:
    from tiktok_provider.publishing.photo_posts import DirectPhotos


class TikTokPublishPhotosOperator(PhotoParameters, TikTokDirectPostOperator):
    """Publishes 1 to 35 photos as one post and, by default, waits in the triggerer until TikTok has published it.

    TikTok takes photos only from public URLs of a domain or prefix that the app has verified, and fetches them by
    itself as soon as it has accepted the post. One photo that it cannot use fails the whole post, and TikTok does not
    say which; so each URL is asked for before, and every bad one is named.

    It returns the same as ``TikTokPublishVideoOperator``, and a retry or a clear does the same: what is on record is
    returned, waited for, or made anew if TikTok reports FAILED. As TikTok publishes by itself, an answer that is lost
    leaves the post **uncertain**: the task fails once and names the command that resolves it; never are there two.

    Source: https://developers.tiktok.com/doc/content-posting-api-reference-photo-post

    :param photo_urls: 1 to 35 https URLs of JPEG or WebP images in their order, each of at most 20 MB, whose shorter
        side has at most 1080 pixels. They must not redirect, and must be reachable for an hour. Templated: each
        entry, or one template for the list in a DAG with ``render_template_as_native_obj``.
    :param photos: instead of ``photo_urls``: 1 to 35 files, each a local path or an object-storage URL that Airflow
        opens (``s3://conn_id@bucket/key``). What TikTok does not take is converted: PNG and the like to JPEG, larger
        photos to 1080 x 1920, upright, without metadata, transparency on white. Templated.
    :param publish_to: for ``photos``: object storage that the public can read, where the photos are copied to.
        Default: the connection's. Templated.
    :param public_base_url: its https address; the app has verified its domain or prefix. Default: the connection's.
        Templated.
    :param keep_public_photos: False removes the public copies once TikTok has published the post or refused it.
        Templated.
    :param privacy_level: ``PUBLIC_TO_EVERYONE``, ``MUTUAL_FOLLOW_FRIENDS``, ``FOLLOWER_OF_CREATOR`` or
        ``SELF_ONLY``; it must be one that the creator's account offers. There is no default. Templated.
    :param title: at most 90 UTF-16 units. Templated.
    :param description: with its hashtags and mentions, at most 4,000 UTF-16 units. Templated.
    :param cover_index: which photo is the cover, counted from 0. Templated.
    :param auto_add_music: lets TikTok add music, which the creator can change later. Templated.
    :param check_urls: ask for each photo from the worker before TikTok is asked. False: for URLs that only TikTok may
        read. Templated.
    :param allow_comment: as for videos, as are ``brand_content``, ``brand_organic``, ``is_aigc``,
        ``wait_for_post_id`` and all that concerns waiting and the post key; photos have neither duets nor stitches.
        Templated.
    :raises InvalidInputError: with every violation; nothing was sent.
    :raises PhotoUnreachableError: the host of a photo does not answer; nothing was sent, a retry asks again.
    :raises PostConflictError: there is another post under the key, or the same photos in this slot; nothing was sent.
    :raises PostFailedError: TikTok reports FAILED: nothing is out.
    :raises UncertainPostError: whether the post is out cannot be known; never retried.
    """

    template_fields: Sequence[str] = (
        *TikTokDirectPostOperator.template_fields,
        *PHOTO_FIELDS,
        "auto_add_music",
    )
    parameter_types: ClassVar[Mapping[str, Any]] = {
        **TikTokDirectPostOperator.parameter_types,
        **PHOTO_TYPES,
        "auto_add_music": bool,
    }

    def __init__(self, *, auto_add_music: bool | str = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        # A boolean, once templates are rendered.
        self.auto_add_music: Any = auto_add_music
        self.check_literals()

    def request(self) -> "DirectPhotos":
        """Return the photos and their settings."""
        from tiktok_provider.api.posting import PhotoPost
        from tiktok_provider.publishing.photo_posts import DirectPhotos

        post = PhotoPost(
            privacy_level=self.privacy_level,
            title=self.title,
            description=self.description,
            disable_comment=not self.allow_comment,
            auto_add_music=self.auto_add_music,
            brand_content_toggle=self.brand_content,
            brand_organic_toggle=self.brand_organic,
        )
        return DirectPhotos(self._media(), post, self.cover_index, self.is_aigc)
