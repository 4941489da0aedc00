"""A video file. Source: TikTok's "Media Transfer Guide", "FILE_UPLOAD"."""

import re
from collections.abc import Sequence
from functools import cached_property
from typing import ClassVar

from tiktok_provider.api.accounts import CreatorInfo
from tiktok_provider.api.hosts import HostPolicy
from tiktok_provider.exceptions import InvalidInputError
from tiktok_provider.publishing.media.medium import T, Transfers
from tiktok_provider.publishing.media.probe import NotProbedError, probe
from tiktok_provider.publishing.media.stored_file import LOOK_AROUND_BYTES, StoredFile
from tiktok_provider.publishing.media.video_checks import CONTENT_TYPES, VideoFacts, check, check_duration
from tiktok_provider.publishing.media.violations import Violation
from tiktok_provider.store.posts import Source

_EBML_DOCTYPE = re.compile(rb"\x42\x82.{1,8}?(webm|matroska)", re.DOTALL)
_HEAD_BYTES = 4096


class VideoFile(StoredFile):
    """A readable video, wherever it lies."""

    what: ClassVar[str] = "video file"
    source: Source = "file"
    by_place = True
    # Its location is no secret, and TikTok is not sent it.
    secrets: Sequence[str] = ()

    @cached_property
    def container(self) -> str | None:
        """``mp4``, ``mov``, ``webm`` or a relative of theirs, from the first bytes and not the suffix; else None."""
        with self.explained(), self.open(LOOK_AROUND_BYTES) as source:
            return _container_of(source.read(_HEAD_BYTES))

    @cached_property
    def facts(self) -> VideoFacts:
        """What its headers say, as they were when first asked for; no more of it is read than that takes.

        :raises InvalidInputError: it is missing, empty, a directory, not to be read, or not a video.
        """
        return _probe(self)

    @property
    def duration_seconds(self) -> float | None:
        """Length of the video, None where the file does not say, or is no video."""
        try:
            return self.facts.duration_seconds
        except InvalidInputError:
            return None

    def violations(self, hosts: HostPolicy) -> Sequence[Violation | str]:  # noqa: ARG002  (they are for URLs)
        """Return all that TikTok would refuse of the file.

        :raises OSError: the storage cannot be read for now.
        """
        try:
            return check(self.facts)
        except InvalidInputError as error:
            return error.violations

    def violations_for(self, creator: CreatorInfo) -> Sequence[Violation]:
        """Return whether the creator may post a video of this length."""
        violation = check_duration(self.facts.duration_seconds, creator.max_video_post_duration_sec)
        return [violation] if violation else []

    def transfer(self, transfers: Transfers[T]) -> T:
        """Let it be uploaded."""
        return transfers.upload(self)

    @property
    def content_type(self) -> str:
        """The media type to upload it under: ``video/mp4``, ``video/quicktime`` or ``video/webm``.

        :raises InvalidInputError: it is in none of TikTok's containers, or cannot be read.
        """
        if self.container not in CONTENT_TYPES:
            raise self.error("is neither MP4, MOV nor WebM")
        return CONTENT_TYPES[self.container]


# 3GP, HEIF and AVIF pictures, JPEG 2000 and Flash share MP4's structure, not its name.
_FOREIGN_BRANDS = ("3g", "hei", "hev", "mif1", "msf1", "avi", "jp", "mj", "f4")
# QuickTime files from before the ftyp box begin with one of these.
_OLD_QUICKTIME_BOXES = (b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")


def _container_of(head: bytes) -> str | None:
    if head.startswith(b"\x1a\x45\xdf\xa3"):
        doctype = _EBML_DOCTYPE.search(head)
        return doctype[1].decode() if doctype else None
    if head[4:8] != b"ftyp":
        return "mov" if head[4:8] in _OLD_QUICKTIME_BOXES else None
    brand = head[8:12].decode("latin-1").strip()
    if brand == "qt":
        return "mov"
    return brand if brand.startswith(_FOREIGN_BRANDS) else "mp4"


def _probe(video: VideoFile) -> VideoFacts:
    size = video.size
    try:
        with video.explained(), video.open(LOOK_AROUND_BYTES) as source:
            found = probe(source, size)
    except NotProbedError as error:
        raise video.error(str(error)) from error
    container = video.container or found["format"]
    return VideoFacts(
        container=container,
        codec=found["codec"],
        width=found["width"],
        height=found["height"],
        fps=found["fps"],
        duration_seconds=found["duration_seconds"],
        size_bytes=size,
    )
