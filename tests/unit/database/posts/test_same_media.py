"""The same media under two post keys: one post in a slot, unless it is asked for."""

from dataclasses import replace
from typing import Any

import pytest

from tests.unit.database.posts.posting import intend, run, start, wish
from tests.unit.databases import Mia
from tiktok_provider.database.posts.service import PostService
from tiktok_provider.store.errors import PostConflictError
from tiktok_provider.store.posts import (
    Claimed,
    Intend,
    MarkFailed,
    MarkUncertain,
    PostClaim,
    PostStep,
    Progress,
    Release,
)

SLOT = {"run": "date 2026-11-20", "dag_id": "spring", "task_id": "publish"}
OTHER_SLOT = SLOT | {"run": "date 2026-11-21"}


def claim_of(task: str, **changes: Any) -> PostClaim:
    return replace(wish(task=task), **{"origin": SLOT, "digest": "d1", "location": "/a.mp4", **changes})


def intent(**changes: Any) -> Intend:
    return replace(intend(), **{"digest": "d1", "location": "/a.mp4", **changes})


class Keys:
    """Posts of Mia's under several post keys."""

    def __init__(self, mia: Mia) -> None:
        self.store = PostService(clock=mia.clock)

    def claim(self, key: str, **changes: Any) -> Claimed:
        return run(self.store.claim("mia", key, claim_of(key, **changes)))

    def bring_to(self, key: str, *steps: PostStep, **changes: Any) -> Claimed:
        claimed = self.claim(key, **changes)
        for step in steps:
            run(self.store.write("mia", key, claimed.record.generation, step))
        return claimed


@pytest.fixture
def keys(mia: Mia) -> Keys:
    return Keys(mia)


UNDER_WAY: dict[str, list[PostStep]] = {
    "intended": [intent()],
    "uploading": [intent(), start()],
    "finishing": [intent(), start(), Progress(sent_bytes=1, finishing=True)],
    "uncertain": [intent(), MarkUncertain(reason="no answer")],
}


@pytest.mark.parametrize("steps", UNDER_WAY.values(), ids=UNDER_WAY)
def test_a_post_that_may_be_out_keeps_its_media_for_its_slot(keys: Keys, steps: list[PostStep]) -> None:
    keys.bring_to("first", *steps)
    with pytest.raises(PostConflictError, match="post key 'first'"):
        keys.claim("second")
    assert run(keys.store.look("mia", "second")) is None, "what is refused leaves nothing behind"


@pytest.mark.parametrize(
    "other",
    [{"digest": "d2"}, {"digest": ""}, {"origin": OTHER_SLOT}, {"origin": {}}, {"allow_duplicate": True}],
    ids=["media", "unknown media", "slot", "no slot", "allowed"],
)
def test_other_media_another_slot_and_what_is_allowed_are_no_duplicates(
    keys: Keys, other: dict[str, Any]
) -> None:
    keys.bring_to("first", *UNDER_WAY["finishing"])
    step = {name: value for name, value in other.items() if name != "origin"}
    keys.bring_to("second", intent(**step), **other)


@pytest.mark.parametrize(
    "steps", [[Release()], [intent(), MarkFailed(reason="refused")]], ids=["claimed", "failed"]
)
def test_a_post_that_is_not_out_gives_its_media_to_the_first_that_begins(
    keys: Keys, steps: list[PostStep]
) -> None:
    first = keys.bring_to("first", *steps)
    keys.bring_to("second", intent())
    with pytest.raises(PostConflictError, match="post key 'second'"):
        run(keys.store.write("mia", "first", first.record.generation, intent()))


def test_a_forgotten_post_gives_its_media_back(keys: Keys) -> None:
    keys.bring_to("first", *UNDER_WAY["uncertain"])
    run(keys.store.resolve("mia", "first", posted=True, actor="anna"))
    run(keys.store.forget("mia", "first", actor="anna"))
    keys.bring_to("second", intent())


def test_a_post_keeps_its_media_through_its_own_next_attempt(keys: Keys) -> None:
    keys.bring_to("first", intent(), MarkFailed(reason="refused"), intent())


def test_the_same_media_of_another_slot_are_named(keys: Keys) -> None:
    keys.bring_to("first", *UNDER_WAY["finishing"])
    claimed = keys.claim("second", origin=OTHER_SLOT)
    assert claimed.same_media
    assert (claimed.same_media.post_key, claimed.same_media.location) == ("first", "/a.mp4")
    assert keys.claim("third", origin=OTHER_SLOT, digest="d2").same_media is None
    assert keys.claim("first").same_media is None


def test_media_that_failed_elsewhere_are_not_worth_a_word(keys: Keys) -> None:
    keys.bring_to("first", intent(), MarkFailed(reason="refused"))
    assert keys.claim("second", origin=OTHER_SLOT).same_media is None
