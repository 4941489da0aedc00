"""The client says to a sandbox what the README promises; the fixture starts each test with an empty one."""

import httpx
import pytest

from tiktok_sandbox.client import Sandbox, SandboxError

pytest_plugins = ["pytester"]


def test_an_app_an_account_and_tokens_come_back_with_their_fields(tiktok_sandbox: Sandbox) -> None:
    app = tiktok_sandbox.create_app(audited=False, url_prefixes=["media.example.com"])
    mia = tiktok_sandbox.create_account(username="mia", private=True)
    tokens = tiktok_sandbox.issue_tokens(app, mia, scope="user.info.basic,video.upload")
    assert (app.audited, app.url_prefixes) == (False, ["media.example.com"])
    assert (mia.username, mia.private) == ("mia", True)
    assert set(tokens.scope.split(",")) == {"user.info.basic", "video.upload"}
    assert tokens.access_expires_at < tokens.refresh_expires_at


def test_an_account_can_be_changed(tiktok_sandbox: Sandbox) -> None:
    mia = tiktok_sandbox.create_account(username="mia")
    changed = tiktok_sandbox.update_account(mia.open_id, private=True)
    assert (changed.open_id, changed.username, changed.private) == (mia.open_id, "mia", True)


@pytest.mark.parametrize("fields", [{"username": "noah"}, {"hidden_privacy_levels": ["EVERYBODY"]}], ids=str)
def test_a_change_that_makes_no_sense_is_refused(tiktok_sandbox: Sandbox, fields: dict[str, object]) -> None:
    tiktok_sandbox.create_account(username="noah")
    mia = tiktok_sandbox.create_account(username="mia")
    with pytest.raises(SandboxError, match=next(iter(fields))):
        tiktok_sandbox.update_account(mia.open_id, **fields)
    assert tiktok_sandbox.update_account(mia.open_id, private=True).username == "mia"


def test_a_frozen_clock_moves_by_advance_alone(tiktok_sandbox: Sandbox) -> None:
    tiktok_sandbox.freeze()
    start = tiktok_sandbox.now()
    tiktok_sandbox.advance(3600)
    assert tiktok_sandbox.now() == start + 3600
    tiktok_sandbox.unfreeze()
    assert tiktok_sandbox.now() > start + 3600


def test_switches_are_set_by_name(tiktok_sandbox: Sandbox) -> None:
    assert tiktok_sandbox.set_switches(processing_seconds=7)["processing_seconds"] == 7


def test_a_refused_call_says_why(tiktok_sandbox: Sandbox) -> None:
    with pytest.raises(SandboxError, match=r"PATCH /sandbox/switches: 4\d\d .*no_such_switch"):
        tiktok_sandbox.set_switches(no_such_switch=True)


@pytest.mark.parametrize("as_words", [True, False])
def test_a_fault_hits_the_calls_that_it_names_and_is_counted(tiktok_sandbox: Sandbox, as_words: bool) -> None:
    where = "/v2/post/publish/status/fetch/"
    if as_words:
        tiktok_sandbox.add_fault("status", status=503, path=where, skip=1)
    else:
        tiktok_sandbox.add_fault({"type": "status", "status": 503}, path=where, skip=1)
    answers = [httpx.post(tiktok_sandbox.url + where, json={}).status_code for _ in range(3)]
    assert answers == [401, 503, 401]
    assert len(tiktok_sandbox.faults()) == 1
    assert [call["status"] for call in tiktok_sandbox.requests(where)] == answers
    assert tiktok_sandbox.requests("/v2/oauth/") == []


def test_faults_can_be_cleared(tiktok_sandbox: Sandbox) -> None:
    tiktok_sandbox.add_fault("status", status=503, times=None)
    tiktok_sandbox.clear_faults()
    assert tiktok_sandbox.faults() == []


def test_a_reset_forgets_everything(tiktok_sandbox: Sandbox) -> None:
    mia = tiktok_sandbox.create_account(username="mia")
    tiktok_sandbox.add_fault("status", status=503)
    tiktok_sandbox.reset(seed=2)
    assert (tiktok_sandbox.faults(), tiktok_sandbox.feed(), tiktok_sandbox.requests()) == ([], [], [])
    with pytest.raises(SandboxError):
        tiktok_sandbox.update_account(mia.open_id, private=True)


@pytest.mark.parametrize("turn", [1, 2])
def test_each_test_starts_with_an_empty_sandbox(tiktok_sandbox: Sandbox, turn: int) -> None:
    assert tiktok_sandbox.faults() == [], f"turn {turn} sees what another left"
    tiktok_sandbox.add_fault("status", status=503)


def test_a_test_of_your_own_gets_the_fixture_without_any_import(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_it(tiktok_sandbox): assert tiktok_sandbox.feed() == []")
    pytester.runpytest_subprocess().assert_outcomes(passed=1)
