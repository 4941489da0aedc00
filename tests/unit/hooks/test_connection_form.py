"""The Test button of the connection form. Airflow puts the form, saved or not, into the environment of its API server
under a random connection id and asks the hook, in a process that has the store at hand."""

import json
from typing import Any

import pytest
from airflow.models import Connection
from sqlalchemy import select

from tests.unit.conftest import CONN_ID, Creator
from tiktok_provider.database.session import transaction
from tiktok_provider.database.tables import AccountRecord
from tiktok_provider.hooks.tiktok import TikTokHook

TOKEN = "/v2/oauth/token/"
RANDOM_ID = "xYzAbC"


def press(creator: Creator, **changes: Any) -> tuple[bool, str]:
    """Test the creator's Connection, changed in the form and not saved; ``extra`` is merged."""
    extra = {**creator.connection["extra"], **changes.pop("extra", {})}
    form = {**creator.connection, **changes, "extra": json.dumps(extra)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(f"AIRFLOW_CONN_{RANDOM_ID.upper()}", Connection(RANDOM_ID, **form).get_uri())
        with TikTokHook(RANDOM_ID) as hook:
            return hook.test_connection()


def known_to_the_store() -> list[str]:
    with transaction() as session:
        return [
            *session.scalars(select(Connection.conn_id)),
            *session.scalars(select(AccountRecord.conn_id)),
        ]


def secrets(creator: Creator) -> list[str]:
    extra = creator.connection["extra"]
    return [creator.connection["password"], extra["access_token"], extra["refresh_token"]]


def test_a_living_access_token_in_the_form_tells_who_the_account_is(creator: Creator) -> None:
    assert press(creator) == (True, "TikTok knows this account as 'Mia of Milan'.")
    assert (creator.calls(TOKEN), known_to_the_store()) == ([], [])


def test_a_lone_refresh_token_is_not_spent_and_not_taken_over(creator: Creator) -> None:
    creator.sandbox.set_switches(old_refresh_token="dies")
    creator.connect(extra={"access_token": None, "access_expires_at": None})
    works, said = press(creator)
    assert (works, "client key" in said, "airflow tiktok doctor" in said) == (True, True, True)
    assert known_to_the_store() == []
    with TikTokHook(CONN_ID) as hook:
        assert hook.user_info().open_id == creator.open_id


def test_an_account_whose_tokens_the_store_has_is_checked_as_far_as_the_form_goes(creator: Creator) -> None:
    works, said = press(creator, extra={"access_token": None, "refresh_token": None})
    assert (works, "airflow tiktok doctor" in said) == (True, True)
    assert creator.calls() == [TOKEN]


@pytest.mark.parametrize("says_when", [True, False])
def test_a_initial_tokens_that_is_older_than_a_day_does_not_fail_what_the_store_has_refreshed(
    creator: Creator, says_when: bool
) -> None:
    creator.sandbox.advance(25 * 3600)
    extra = {} if says_when else {"access_expires_at": None}
    works, said = press(creator, extra=extra)
    assert (works, "access token in this form" in said, "airflow tiktok doctor" in said) == (True, True, True)
    assert known_to_the_store() == []


def test_an_access_token_that_has_ended_and_that_nothing_can_replace_is_wrong(creator: Creator) -> None:
    works, said = press(creator, extra={"access_token": "act.revoked-long-ago", "refresh_token": None})
    assert (works, "access_token_invalid" in said, "revoked-long-ago" in said) == (False, True, False)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"password": "fake-wrong-secret", "extra": {"access_token": None}}, "invalid_client"),
        ({"password": None}, "Client secret"),
        ({"host": "https://evil.example"}, "evil.example"),
        ({"extra": {"access_expires_at": "tomorrow"}}, "'tomorrow'"),
    ],
    ids=str,
)
def test_what_is_wrong_with_the_form_is_said_without_its_secrets(
    creator: Creator, changes: dict[str, Any], sentence: str
) -> None:
    works, said = press(creator, **changes)
    assert (works, sentence in said) == (False, True)
    assert [secret for secret in [*secrets(creator), "fake-wrong-secret"] if secret in said] == []


def test_what_tiktok_repeats_of_the_secret_is_not_said(creator: Creator) -> None:
    secret = creator.connection["password"]
    body = {"error": "invalid_client", "error_description": f"not {secret}", "log_id": "fake"}
    creator.sandbox.add_fault("status", status=401, body=body, path=TOKEN)
    works, said = press(creator, extra={"access_token": None})
    assert (works, "not ***" in said, secret in said) == (False, True, False)


def test_a_connection_that_is_not_there_is_named(creator: Creator) -> None:
    with TikTokHook("nobody") as hook:
        works, said = hook.test_connection()
    assert (works, "'nobody' is not defined" in said) == (False, True)
    assert creator.calls() == []
