"""A Connection that names another app or host than the one that gave its tokens: nothing is lost."""

import asyncio
from collections.abc import Callable
from dataclasses import asdict

import pytest
from airflow.models import Connection
from sqlalchemy import delete, update

from tests.unit.database.accounts.refreshing import refresh
from tests.unit.database.posts.posting import KEY, wish
from tests.unit.databases import Mia
from tiktok_provider.api.oauth import TokenResponse
from tiktok_provider.database.posts.service import PostService
from tiktok_provider.database.session import transaction
from tiktok_provider.database.tables import AccountRecord
from tiktok_provider.exceptions import ConnectionSettingsError
from tiktok_provider.store.token_sets import AccountState, TokenState

run = asyncio.run
ELSEWHERE = "http://127.0.0.1:1"


def another_app(mia: Mia) -> dict[str, object]:
    app = mia.sandbox.create_app()
    return {"login": app.client_key, "password": app.client_secret}


def another_host(mia: Mia) -> dict[str, object]:
    mia.monkeypatch.setenv("AIRFLOW__TIKTOK__ALLOWED_HOSTS", f"{mia.sandbox.url} {ELSEWHERE}")
    return {"host": ELSEWHERE}


ASKS: dict[str, Callable[[Mia], object]] = {
    "look": lambda mia: run(mia.store().look("mia")),
    "refresh": refresh,
    "claim": lambda mia: run(PostService(clock=mia.clock).claim("mia", KEY, wish())),
}


@pytest.fixture(params=[another_app, another_host], ids=["app", "host"])
def changed(request: pytest.FixtureRequest, expired: Mia) -> dict[str, object]:
    """What a person has written into the Connection by mistake; the initial tokens are no longer in it."""
    changes: dict[str, object] = request.param(expired)
    expired.define(None, **changes)
    return changes


@pytest.mark.parametrize("ask", ASKS.values(), ids=ASKS)
def test_a_connection_of_another_app_or_host_is_refused_and_names_both(
    expired: Mia, changed: dict[str, object], ask: Callable[[Mia], object]
) -> None:
    kept = expired.kept()
    with pytest.raises(ConnectionSettingsError) as caught:
        ask(expired)
    said = str(caught.value)
    for part in (
        "connection 'mia'",
        expired.app.client_key,
        expired.sandbox.url,
        "airflow tiktok connect mia",
    ):
        assert part in said
    assert str(changed.get("login", ELSEWHERE)) in said
    assert (expired.refreshes(), expired.kept()) == (0, kept)
    assert [event for event, _ in expired.audit_log()] == ["tiktok_connect"]


@pytest.mark.usefixtures("changed")
def test_once_the_connection_is_right_again_all_works(expired: Mia) -> None:
    with pytest.raises(ConnectionSettingsError):
        refresh(expired)
    expired.define(None)
    assert isinstance(refresh(expired), TokenState)
    assert expired.works()


@pytest.mark.usefixtures("changed")
def test_the_list_of_accounts_goes_on_meanwhile(expired: Mia) -> None:
    [account] = run(expired.store().accounts())
    assert account.state is AccountState.OK


@pytest.mark.usefixtures("changed")
def test_a_disconnect_wipes_and_tells_no_other_host_or_app_the_token(expired: Mia) -> None:
    done = run(expired.store().disconnect("mia", actor="anna"))
    assert (done.revoked, expired.kept()) == (False, {})
    assert "were given to another app" in done.problem
    assert expired.sandbox.requests("/v2/oauth/revoke/") == []


def test_a_new_consent_for_the_other_app_wins(expired: Mia) -> None:
    app = expired.sandbox.create_app()
    expired.define(None, login=app.client_key, password=app.client_secret)
    tokens = TokenResponse.model_validate(asdict(expired.sandbox.issue_tokens(app, expired.account)))
    run(expired.store().connect("mia", tokens, actor="anna"))
    assert run(expired.store().look("mia")).generation == 2
    expired.clock.advance(days=1, seconds=1)
    assert isinstance(refresh(expired, 2), TokenState)


def test_a_new_initial_tokens_that_comes_with_the_other_app_wins(expired: Mia) -> None:
    app = expired.sandbox.create_app()
    initial_tokens = expired.sandbox.issue_tokens(app, expired.account)
    expired.define(initial_tokens, login=app.client_key, password=app.client_secret)
    assert run(expired.store().look("mia")).generation == 2
    expired.clock.advance(days=1, seconds=1)
    assert isinstance(refresh(expired, 2), TokenState)


@pytest.mark.usefixtures("changed")
def test_the_loss_of_our_tables_does_not_make_the_set_the_other_apps(expired: Mia) -> None:
    kept = expired.kept()
    with transaction() as session:
        session.execute(delete(AccountRecord))
    with pytest.raises(ConnectionSettingsError, match="were given to another app"):
        run(expired.store().look("mia"))
    assert expired.kept() == kept


def test_a_host_that_is_only_written_in_another_way_is_the_same_one(expired: Mia) -> None:
    scheme, _, rest = expired.sandbox.url.partition("://")
    expired.define(None, host=f"{scheme.upper()}://{rest}/v2/")
    assert isinstance(refresh(expired), TokenState)


@pytest.mark.usefixtures("changed")
def test_an_older_set_that_does_not_say_whose_it_is_is_not_refused(expired: Mia) -> None:
    with transaction() as session:
        session.execute(
            update(Connection).where(Connection.conn_id == "mia.tokens").values(login=None, host=None)
        )
    assert run(expired.store().look("mia")).generation == 1
