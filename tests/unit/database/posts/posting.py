"""One post of Mia's in the store, brought to any state."""

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass, replace
from typing import TypeVar

from sqlalchemy import select

from tests.unit.databases import Mia
from tiktok_provider.database.posts.service import PostService
from tiktok_provider.database.session import transaction
from tiktok_provider.database.tables import AttemptRow
from tiktok_provider.store.posts import (
    Claimant,
    Claimed,
    Content,
    Intend,
    MarkFailed,
    MarkUncertain,
    PostClaim,
    PostOutcome,
    PostRecord,
    PostState,
    PostStep,
    Source,
    Start,
    Verdict,
)

T = TypeVar("T")

KEY = "campaign/7"
CONTENT: Content = {"title": "Spring", "privacy_level": "PUBLIC_TO_EVERYONE", "disable_comment": False}
TASK, OTHER_TASK = "dag/run/publish/-1", "dag/other run/publish/-1"
MIB = 1024 * 1024


def run(work: Awaitable[T]) -> T:
    async def wait() -> T:
        return await work

    return asyncio.run(wait())


def wish(
    try_number: int = 1, *, task: str = TASK, try_id: str = "", source: Source = "file", media: str = "f1"
) -> PostClaim:
    claimant = Claimant(task=task, try_number=try_number, try_id=try_id or f"{task} {try_number}")
    return PostClaim(
        claimant=claimant,
        kind="video",
        source=source,
        fingerprint=media,
        content=CONTENT,
        origin={"dag_id": "campaign", "task_id": "publish"},
    )


def intend(source: Source = "file", media: str = "f1") -> Intend:
    return Intend(source=source, fingerprint=media, content=CONTENT)


def start(publish_id: str = "v_pub~1", *, finishing: bool = False) -> Start:
    return Start(
        publish_id=publish_id,
        finishing=finishing,
        size=30 * MIB,
        chunk_size=10 * MIB,
        encrypted_upload_url="sealed",
        profile_url="https://www.tiktok.com/@mia",
    )


def out(publish_id: str = "v_pub~1", *post_ids: str) -> PostOutcome:
    return PostOutcome(publish_id=publish_id, state=PostState.OUT, post_ids=post_ids)


INTENDED = (intend(),)
UPLOADING = (intend(), start())
FINISHING = (intend(), start(finishing=True))
FAILED = (intend(), MarkFailed(reason="init refused"))
UNCERTAIN = (intend(), MarkUncertain(reason="no answer"))


@dataclass
class Posts:
    """The post store on Mia's clock, for one post."""

    mia: Mia
    store: PostService
    generation: int = 0

    def claim(self, claim: PostClaim) -> Claimed:
        claimed = run(self.store.claim("mia", KEY, claim))
        if claimed.verdict is Verdict.YOURS:
            self.generation = claimed.record.generation
        return claimed

    def write(self, *steps: PostStep) -> PostRecord:
        """Write steps as the present holder."""
        for step in steps:
            record = run(self.store.write("mia", KEY, self.generation, step))
        return record

    def bring_to(self, *steps: PostStep, source: Source = "file") -> PostRecord:
        """Claim and write steps."""
        record = self.claim(wish(source=source)).record
        return self.write(*steps) if steps else record

    def record_outcome(self, post_outcome: PostOutcome, *, task: str = TASK) -> PostRecord:
        """Write what a wait has heard: that of the task which has sent the post, unless another one is named."""
        return run(self.store.record_outcome("mia", KEY, replace(post_outcome, task=task)))

    def look(self) -> PostRecord:
        record = run(self.store.look("mia", KEY))
        assert record is not None
        return record

    def attempts(self) -> list[AttemptRow]:
        with transaction() as session:
            session.expire_on_commit = False
            return list(session.scalars(select(AttemptRow).order_by(AttemptRow.number)))
