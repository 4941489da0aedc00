"""The commands that list posts, settle them and forget them."""

import asyncio
import io
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

import pytest
from airflow.models.log import Log
from airflow.utils.platform import getuser
from sqlalchemy import select, update

from tests.unit.cli.conftest import Ended, Terminal
from tests.unit.conftest import CONN_ID, Creator, Task, use_up
from tests.unit.operators.test_publish_video import publish
from tiktok_provider.cli.definition import POST_STATES
from tiktok_provider.database.posts.service import PostService
from tiktok_provider.database.rate_limits.service import RateLimitService
from tiktok_provider.database.session import transaction
from tiktok_provider.database.tables import AttemptRow, PostRow
from tiktok_provider.store.posts import (
    Claimant,
    Claimed,
    Intend,
    MarkUncertain,
    PostClaim,
    PostOutcome,
    PostRecord,
    PostState,
    PostStep,
    Release,
    Source,
    Start,
    Verdict,
)
from tiktok_provider.store.rate_limits import Cap, Endpoint

T = TypeVar("T")

KEY = "campaign/7"
POST_ID = "7512345678901234567"
PAGE = f"https://www.tiktok.com/@mia/video/{POST_ID}"
ORIGIN = {"dag_id": "spring", "run": "date 2026-11-20T06:00:00+00:00", "task_id": "publish", "map_index": "3"}


def run(work: Awaitable[T]) -> T:
    async def wait() -> T:
        return await work

    return asyncio.run(wait())


def intend(source: Source = "file") -> Intend:
    return Intend(source=source, fingerprint="f1", content={"title": "Spring"})


def start(*, finishing: bool = True, profile_url: str = "https://www.tiktok.com/@mia") -> Start:
    return Start(
        publish_id="v_pub~1", finishing=finishing, encrypted_upload_url="sealed", profile_url=profile_url
    )


def settled(state: PostState, *post_ids: str, fail_reason: str = "") -> PostOutcome:
    url = f"https://www.tiktok.com/@mia/video/{post_ids[0]}" if post_ids else None
    return PostOutcome(
        publish_id="v_pub~1", state=state, post_ids=post_ids, post_url=url, fail_reason=fail_reason
    )


OUT = (intend(), start(), settled(PostState.OUT, POST_ID))
IN_INBOX = (intend(), start(), settled(PostState.IN_INBOX))
UNCERTAIN = (intend(), start(), settled(PostState.UNCERTAIN, fail_reason="publish id is forgotten"))
UNKNOWN_INIT = (intend("url"), MarkUncertain(reason="no answer to init"))
FAILED = (intend(), start(), settled(PostState.FAILED, fail_reason="picture_size_check_failed"))


def task_of(run_id: str = "monday") -> str:
    return f"spring/{run_id}/publish/3"


@dataclass
class Posts:
    """The store, as the tasks before have left it."""

    creator: Creator

    def claim(self, key: str = KEY, *, source: Source = "file", run_id: str = "monday") -> Claimed:
        """Claim as a task would."""
        claimant = Claimant(task=task_of(run_id), try_number=1, try_id=run_id)
        wish = PostClaim(
            claimant=claimant, kind="video", source=source, fingerprint="f1", content={}, origin=ORIGIN
        )
        return run(PostService().claim(CONN_ID, key, wish))

    def make(self, *steps: PostStep | PostOutcome, key: str = KEY, source: Source = "file") -> None:
        """Bring a post as far as the steps lead."""
        generation = self.claim(key, source=source).record.generation
        for step in steps:
            if isinstance(step, PostOutcome):
                run(PostService().record_outcome(CONN_ID, key, replace(step, task=task_of())))
            else:
                run(PostService().write(CONN_ID, key, generation, step))

    def look(self, key: str = KEY) -> PostRecord | None:
        return run(PostService().look(CONN_ID, key))


@pytest.fixture
def posts(creator: Creator, store: None) -> Posts:  # noqa: ARG001  (it empties the store)
    creator.connect(extra={"open_id": creator.open_id})
    return Posts(creator)


@pytest.fixture
def answer(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """What the person at the terminal types."""
    return lambda line: monkeypatch.setattr(sys, "stdin", io.StringIO(f"{line}\n"))


CAPTION = "Spring is here \x1b[31m#spring, and with it a caption that is longer than a table's column"


@pytest.mark.parametrize("output", ["table", "plain", "json", "yaml"])
def test_every_output_shows_caption_media_and_where_the_post_comes_from(
    posts: Posts, terminal: Terminal, output: str
) -> None:
    posts.make(replace(intend(), content={"title": CAPTION}, fingerprint="s3://launches/2026-11-20.mp4"))
    printed = terminal.run("posts", output=output).out
    assert "Spring is here" in printed
    assert "2026-11-20.mp4" in printed
    assert "spring" in printed
    assert "\x1b" not in printed


def test_programs_get_caption_and_media_whole(posts: Posts, terminal: Terminal) -> None:
    posts.make(replace(intend(), content={"title": CAPTION}, fingerprint=f"s3://launches/{'a' * 99}.mp4"))
    [row] = terminal.run("posts").rows
    assert (row["caption"], row["media"]) == (CAPTION, f"s3://launches/{'a' * 99}.mp4")
    assert {name: row[name] for name in ("dag_id", "run", "task_id", "map_index")} == ORIGIN


def test_posts_of_one_dag_or_of_some_days_can_be_listed(posts: Posts, terminal: Terminal) -> None:
    posts.make(key="spring/1")
    posts.make(key="autumn/1")
    with transaction() as session:
        autumn = update(PostRow).where(PostRow.post_key == "autumn/1")
        old = datetime(2026, 9, 1, 12, tzinfo=UTC)
        session.execute(autumn.values(origin={**ORIGIN, "dag_id": "autumn"}, updated_at=old))

    def keys(*arguments: str) -> list[str]:
        return [row["post_key"] for row in terminal.run("posts", *arguments).rows]

    assert keys("--dag-id", "spring") == ["spring/1"]
    assert keys("--dag-id", "autumn", "--conn-id", CONN_ID) == ["autumn/1"]
    assert keys("--until", "2026-09-02") == ["autumn/1"]
    assert keys("--since", "2026-09-02") == ["spring/1"]
    assert keys("--since", "2026-09-01T11:00:00", "--until", "2026-09-01T13:00:00") == ["autumn/1"]


def test_what_keeps_a_post_from_being_sent_is_said_with_the_way_out(posts: Posts, terminal: Terminal) -> None:
    posts.make()
    run(RateLimitService().close(CONN_ID, Cap.POSTS, 7_000.0))
    done = terminal.run("posts")
    assert f"Account {CONN_ID} is closed until" in done.said
    assert "cap of API posts in 24 hours is reached" in done.said
    assert f"airflow tiktok reopen {CONN_ID}" in done.said


def test_of_an_account_that_is_open_nothing_is_said(posts: Posts, terminal: Terminal) -> None:
    posts.make()
    assert terminal.run("posts").said == ""


def audited(event: str) -> list[tuple[str | None, str | None]]:
    with transaction() as session:
        rows = session.scalars(select(Log).where(Log.event == event))
        return [(row.owner, row.extra) for row in rows]


def test_posts_tells_where_a_post_is_from_and_how_it_has_ended(posts: Posts, terminal: Terminal) -> None:
    posts.make(*OUT)
    [row] = terminal.run("posts").rows
    assert {name: row[name] for name in ORIGIN} == ORIGIN
    assert (row["conn_id"], row["username"], row["post_key"]) == (CONN_ID, "mia", KEY)
    assert (row["state"], row["publish_id"], row["attempt"]) == ("out", "v_pub~1", 1)
    assert (row["post_ids"], row["post_url"]) == ([POST_ID], PAGE)
    assert datetime.fromisoformat(row["updated_at"]) > datetime.now(UTC) - timedelta(minutes=1)


@pytest.mark.parametrize("output", ["table", "plain"])
def test_people_see_a_line_for_each_post_with_why_it_failed(
    posts: Posts, terminal: Terminal, output: str
) -> None:
    posts.make(*FAILED)
    told = terminal.run("posts", output=output).out
    for part in (
        f"{CONN_ID} @mia",
        KEY,
        "spring",
        "publish[3]",
        "failed",
        "v_pub~1",
        "picture_size_check_failed",
    ):
        assert part in told


def test_the_table_tells_who_has_settled_a_post(posts: Posts, terminal: Terminal) -> None:
    posts.make(*UNCERTAIN)
    terminal.run("resolve", CONN_ID, KEY, "--posted")
    assert f"resolved by {getuser()}" in terminal.run("posts", output="table").out


def test_the_last_changed_post_comes_first_and_the_rest_is_counted_off(
    posts: Posts, terminal: Terminal
) -> None:
    for number in range(3):
        posts.make(Release(), key=f"post {number}")
        with transaction() as session:
            moment = datetime.now(UTC) - timedelta(minutes=number)
            session.execute(
                update(PostRow).where(PostRow.post_key == f"post {number}").values(updated_at=moment)
            )
    assert [row["post_key"] for row in terminal.run("posts").rows] == ["post 0", "post 1", "post 2"]
    some = terminal.run("posts", "--limit", "2")
    assert [row["post_key"] for row in some.rows] == ["post 0", "post 1"]
    assert "raise --limit" in some.said
    assert "raise --limit" not in terminal.run("posts", "--limit", "3").said


def test_posts_can_be_of_one_state_or_one_connection(posts: Posts, terminal: Terminal) -> None:
    posts.make(*OUT, key="out")
    posts.make(*UNCERTAIN, key="uncertain")
    assert [row["post_key"] for row in terminal.run("posts", "--state", "uncertain").rows] == ["uncertain"]
    assert len(terminal.run("posts", "--conn-id", CONN_ID).rows) == 2
    assert terminal.run("posts", "--conn-id", "tiktok_other").rows == []


def test_a_state_that_does_not_exist_is_refused_with_all_that_do(posts: Posts, terminal: Terminal) -> None:
    assert tuple(PostState) == POST_STATES
    refused = refused_by_parser(terminal, "posts", "--state", "lost")
    assert all(state in refused for state in POST_STATES)
    assert posts.creator.calls() == []


def refused_by_parser(terminal: Terminal, *arguments: str) -> str:
    with pytest.raises(SystemExit) as end:
        terminal.run(*arguments)
    assert end.value.code == 2
    return terminal.capsys.readouterr().err


@pytest.mark.parametrize("limit", ["0", "-1", "many"])
def test_a_limit_is_a_positive_number(terminal: Terminal, limit: str) -> None:
    assert "invalid positive int" in refused_by_parser(terminal, "posts", f"--limit={limit}")


@pytest.mark.parametrize(
    ("seen", "post_ids", "post_url"),
    [
        ((), [], None),
        ((POST_ID,), [POST_ID], PAGE),
        ((PAGE,), [POST_ID], PAGE),
        ((f"{PAGE}?is_from_webapp=1&sender_device=pc",), [POST_ID], PAGE),
        ((f"www.tiktok.com/@MIA/photo/{POST_ID}/",), [POST_ID], PAGE.replace("@mia/video", "@MIA/photo")),
    ],
    ids=["nothing", "id", "url", "url of a browser", "url of a photo"],
)
def test_what_is_posted_is_returned_by_the_next_run(
    posts: Posts, terminal: Terminal, seen: tuple[str, ...], post_ids: list[str], post_url: str | None
) -> None:
    posts.make(*UNCERTAIN)
    done = terminal.run("resolve", CONN_ID, KEY, "--posted", *seen)
    assert done.code == 0
    [row] = done.rows
    assert (row["state"], row["post_ids"], row["post_url"]) == ("out", post_ids, post_url)
    assert (row["resolved_by"], row["publish_id"]) == (getuser(), "v_pub~1")
    assert "Clear task 'publish' of DAG 'spring', date 2026-11-20T06:00:00+00:00 now: it returns" in done.said
    assert posts.claim().verdict is Verdict.ENDED
    [(owner, extra)] = audited("tiktok_post_resolved")
    assert owner == getuser()
    assert KEY in str(extra)


def test_an_id_alone_gives_no_link_if_the_page_of_the_account_is_unknown(
    posts: Posts, terminal: Terminal
) -> None:
    posts.make(*UNKNOWN_INIT, source="url")
    [row] = terminal.run("resolve", CONN_ID, KEY, "--posted", POST_ID).rows
    assert (row["post_ids"], row["post_url"]) == ([POST_ID], None)


def test_the_page_of_a_sandbox_is_taken_for_posts_that_went_there(posts: Posts, terminal: Terminal) -> None:
    site = "http://127.0.0.1:9080"
    posts.make(intend(), start(profile_url=f"{site}/@mia"), settled(PostState.UNCERTAIN))
    page = f"{site}/@mia/video/{POST_ID}"
    assert terminal.run("resolve", CONN_ID, KEY, "--posted", page).rows[0]["post_url"] == page


def test_what_is_not_posted_is_posted_by_the_next_run(posts: Posts, terminal: Terminal) -> None:
    posts.make(*UNKNOWN_INIT, source="url")
    done = terminal.run("resolve", CONN_ID, KEY, "--not-posted")
    assert (done.code, done.rows[0]["state"]) == (0, "failed")
    assert "now: it posts it again" in done.said
    assert posts.claim(source="url").verdict is Verdict.YOURS


@pytest.mark.parametrize(
    ("seen", "why"),
    [
        ("yes", "is no post"),
        ("12345", "is no post"),
        ("v_pub_file~v2.7512345678901234567", "is no post"),
        ("https://www.tiktok.com/@mia", "is no post"),
        ("https://www.tiktok.com/@mia/live/7512345678901234567", "is no post"),
        (f"https://www.tiktok.com.example.com/@mia/video/{POST_ID}", "is no post"),
        (f"http://127.0.0.1:9080/@mia/video/{POST_ID}", "is no post"),
        (f"/@mia/video/{POST_ID}", "is no post"),
        ("https://[tiktok", "is no post"),
        ("https://vm.tiktok.com/ZM8abcdef/", "short link"),
        ("https://www.tiktok.com/t/ZT8abcdef/", "short link"),
        (f"https://www.tiktok.com/@leo/video/{POST_ID}", "this post is one of @mia"),
    ],
)
def test_what_is_no_post_of_the_account_is_refused(
    posts: Posts, terminal: Terminal, seen: str, why: str
) -> None:
    posts.make(*UNCERTAIN)
    before = posts.look()
    done = terminal.run("resolve", CONN_ID, KEY, "--posted", seen)
    assert (done.code, done.out) == (1, "")
    assert why in done.said
    assert posts.look() == before


@pytest.mark.parametrize("steps", [OUT, FAILED, (intend(), start())], ids=["out", "failed", "finishing"])
def test_only_an_uncertain_post_can_be_resolved(
    posts: Posts, terminal: Terminal, steps: tuple[PostStep | PostOutcome, ...]
) -> None:
    posts.make(*steps)
    before = posts.look()
    done = terminal.run("resolve", CONN_ID, KEY, "--not-posted")
    assert (done.code, done.out) == (1, "")
    assert "only an uncertain post" in done.said
    assert posts.look() == before


@pytest.mark.parametrize("choice", [(), ("--posted", "--not-posted"), ("--posted", POST_ID, "--not-posted")])
def test_exactly_one_of_posted_and_not_posted_is_needed(terminal: Terminal, choice: tuple[str, ...]) -> None:
    assert "--not-posted" in refused_by_parser(terminal, "resolve", CONN_ID, KEY, *choice)


@pytest.mark.parametrize(
    "command", [("resolve", "--posted", POST_ID), ("resolve", "--not-posted"), ("forget",)]
)
def test_a_post_that_is_not_on_record_is_named(
    posts: Posts, terminal: Terminal, command: tuple[str, ...]
) -> None:
    posts.make(*UNCERTAIN)
    done = terminal.run(command[0], CONN_ID, "campaign/8", *command[1:])
    assert done.code == 1
    assert "no record of this post: 'campaign/8'" in done.said


@pytest.mark.parametrize(
    ("steps", "warning"),
    [
        (OUT, f"On TikTok it stays out ({PAGE}): the next run of its task posts it a second time."),
        (IN_INBOX, "It stays in the creator's inbox: the next run of its task sends it a second time."),
        (FAILED, "The next run of its task posts it."),
        ((Release(),), "The next run of its task posts it."),
    ],
    ids=["out", "inbox", "failed", "claimed"],
)
def test_a_forgotten_post_is_posted_anew(
    posts: Posts,
    terminal: Terminal,
    answer: Callable[[str], None],
    steps: tuple[PostStep | PostOutcome, ...],
    warning: str,
) -> None:
    posts.make(*steps)
    answer("y")
    done = terminal.run("forget", CONN_ID, KEY)
    assert done.code == 0
    assert warning in done.said
    assert "Type y" in done.said
    assert done.rows[0]["post_key"] == KEY
    assert (posts.look(), terminal.run("posts").rows) == (None, [])
    claimed = posts.claim()
    assert (claimed.verdict, claimed.record.attempt) == (Verdict.YOURS, 0)
    [(owner, extra)] = audited("tiktok_post_forgotten")
    assert owner == getuser()
    assert KEY in str(extra)


def test_with_yes_nothing_is_asked(posts: Posts, terminal: Terminal, answer: Callable[[str], None]) -> None:
    posts.make(*OUT)
    answer("n")
    done = terminal.run("forget", CONN_ID, KEY, "--yes")
    assert (done.code, posts.look()) == (0, None)
    assert "posts it a second time" in done.said
    assert "Type y" not in done.said


@pytest.mark.parametrize("line", ["n", "", "yesterday"])
def test_without_a_clear_yes_nothing_is_forgotten(
    posts: Posts, terminal: Terminal, answer: Callable[[str], None], line: str
) -> None:
    posts.make(*OUT)
    before = posts.look()
    answer(line)
    done = terminal.run("forget", CONN_ID, KEY)
    assert (done.code, done.out, posts.look()) == (1, "", before)
    assert "Nothing was forgotten" in done.said


REFUSED = {
    "claimed": ((), "a task is publishing it"),
    "uploading": ((intend(), start(finishing=False)), "a task is publishing it"),
    "finishing": ((intend(), start(), Release()), "TikTok may be publishing it now"),
    "uncertain": (UNCERTAIN, "airflow tiktok resolve"),
    "init unknown": (UNKNOWN_INIT, "airflow tiktok resolve"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_under_way_or_uncertain_is_not_forgotten(
    posts: Posts, terminal: Terminal, answer: Callable[[str], None], name: str
) -> None:
    steps, why = REFUSED[name]
    posts.make(*steps)
    before = posts.look()
    answer("y")
    done = terminal.run("forget", CONN_ID, KEY)
    assert (done.code, done.out, posts.look()) == (1, "", before)
    assert why in done.said
    is_asked = "a task is publishing it" in why
    assert ("Type y" in done.said) is is_asked, "only a lease can end meanwhile"


def test_a_post_that_came_out_while_the_person_was_asked_is_not_forgotten(
    posts: Posts, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    posts.make(*FAILED)

    class Hesitant:
        def readline(self) -> str:
            posts.make(*OUT)
            return "y\n"

    monkeypatch.setattr(sys, "stdin", Hesitant())
    done = terminal.run("forget", CONN_ID, KEY)
    assert (done.code, done.out) == (1, "")
    assert "it is 'out' now" in done.said
    assert posts.claim().verdict is Verdict.ENDED


def test_no_sealed_address_is_told(posts: Posts, terminal: Terminal) -> None:
    posts.make(*UNCERTAIN)
    ended: list[Ended] = [
        terminal.run("posts", output=output) for output in ("json", "yaml", "table", "plain")
    ]
    ended.append(terminal.run("resolve", CONN_ID, KEY, "--posted"))
    ended.append(terminal.run("forget", CONN_ID, KEY, "--yes"))
    assert [end.code for end in ended] == [0] * 6
    assert "sealed" not in "".join(end.out + end.said for end in ended)


def test_prune_deletes_the_attempts_of_90_days_ago_and_keeps_the_outcome(
    posts: Posts, terminal: Terminal
) -> None:
    posts.make(*OUT)
    posts.make(*FAILED, key="young")
    with transaction() as session:
        moment = datetime.now(UTC) - timedelta(days=91)
        old = select(PostRow.id).where(PostRow.post_key == KEY)
        session.execute(update(AttemptRow).where(AttemptRow.post_id.in_(old)).values(started_at=moment))
    deleted = {row["what"]: row["deleted"] for row in terminal.run("prune").rows}
    assert deleted["attempts"] == 1
    assert posts.claim().verdict is Verdict.ENDED


def test_a_refresh_asks_tiktok_about_posts_without_an_end_and_records_it(
    posts: Posts, terminal: Terminal, clip: Path, task: Task
) -> None:
    sandbox = posts.creator.sandbox
    sandbox.set_switches(processing_seconds=600, moderation_seconds=0)
    publish(clip, wait=False).execute(task.context)
    sandbox.advance(600)
    assert [row["state"] for row in terminal.run("posts").rows] == ["finishing"]
    done = terminal.run("posts", "--refresh")
    [row] = done.rows
    [post] = sandbox.feed()
    assert (row["state"], row["post_ids"]) == ("out", [post["post_id"]])
    assert f"Account {CONN_ID}: 1 posts asked for, 1 with news." in done.said
    calls = len(posts.creator.calls())
    assert terminal.run("posts", "--refresh").rows == done.rows
    assert len(posts.creator.calls()) == calls, "nothing is left to ask for"


def test_an_account_that_cannot_be_asked_is_reported_and_the_posts_are_listed(
    posts: Posts, terminal: Terminal
) -> None:
    posts.make(intend(), start())
    posts.creator.sandbox.add_fault("status", path="/v2/post/publish/status/fetch/", status=400, times=9)
    done = terminal.run("posts", "--refresh")
    assert [row["state"] for row in done.rows] == ["finishing"]
    assert f"Account {CONN_ID}: 1 posts were not asked for: " in done.said


def test_a_refresh_keeps_to_the_rate_limit(
    posts: Posts, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    posts.make(intend(), start())
    use_up(Endpoint.STATUS)
    monkeypatch.setattr("tiktok_provider.publishing.rate_limit.time.sleep", lambda seconds: None)  # noqa: ARG005
    assert (
        "1 posts were not asked for: the account's 30 status calls" in terminal.run("posts", "--refresh").said
    )
    assert posts.creator.calls() == []
