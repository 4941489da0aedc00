"""Fact sheet section 1: the token endpoint, refresh and revocation. Consent has a file of its own."""

from datetime import datetime

import httpx
import pytest

from tests.sandbox.browser import assert_oauth_error, post_token
from tests.sandbox.conftest import BARE, REVOKE, TOKEN, USER_INFO, Creator, MakeCreator, control

DAY = 86_400
YEAR = 365 * DAY
BASIC = USER_INFO + "?fields=open_id"


def refresh(creator: Creator, token: str | None = None, **fields: str | None) -> httpx.Response:
    usual = {"grant_type": "refresh_token", "refresh_token": creator.refresh_token}
    given = {} if token is None else {"refresh_token": token}
    return post_token(creator, **{**usual, **given, **fields})


def works(creator: Creator, access_token: str) -> bool:
    response = BARE.get(creator.sandbox.url + BASIC, headers={"Authorization": f"Bearer {access_token}"})
    assert response.status_code in {200, 401}
    return response.status_code == 200


# The request


def test_a_json_body_is_refused(creator: Creator) -> None:
    form = {
        "client_key": creator.client_key,
        "client_secret": creator.client_secret,
        "grant_type": "refresh_token",
        "refresh_token": creator.refresh_token,
    }
    assert_oauth_error(BARE.post(creator.sandbox.url + TOKEN, json=form), "invalid_request")
    assert_oauth_error(BARE.post(creator.sandbox.url + TOKEN, params=form), "invalid_request")


@pytest.mark.parametrize("field", ["client_key", "grant_type", "refresh_token"])
@pytest.mark.parametrize("value", [None, ""], ids=["missing", "empty"])
def test_a_refresh_without_a_field_is_refused(creator: Creator, field: str, value: str | None) -> None:
    assert_oauth_error(refresh(creator, **{field: value}), {"invalid_request", "unsupported_grant_type"})


def test_a_refresh_without_the_secret_is_refused(creator: Creator) -> None:
    assert_oauth_error(refresh(creator, client_secret=None), {"invalid_request", "invalid_client"})


@pytest.mark.parametrize("field", ["client_key", "client_secret"])
def test_wrong_credentials_are_refused(creator: Creator, field: str) -> None:
    assert_oauth_error(refresh(creator, **{field: "wrong"}), "invalid_client", 401)


@pytest.mark.parametrize(
    "grant", ["password", "urn:ietf:params:oauth:grant-type:device_code", "REFRESH_TOKEN"]
)
def test_an_unknown_grant_is_refused(creator: Creator, grant: str) -> None:
    assert_oauth_error(refresh(creator, grant_type=grant), "unsupported_grant_type")


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"refresh_token": "rft.nobody-knows-this-one"}, "invalid_grant"),
        ({"client_secret": "wrong"}, "invalid_client"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
    ],
)
def test_errors_come_with_http_200_if_the_switch_says_so(
    creator: Creator, fields: dict[str, str], error: str
) -> None:
    creator.sandbox.set_switches(oauth_error_status=200)
    assert_oauth_error(refresh(creator, **fields), error, 200)


# The answer


def test_a_token_set_is_flat_and_has_all_fields(creator: Creator) -> None:
    response = refresh(creator)
    assert response.status_code == 200
    body = response.json()
    assert {name: type(value) for name, value in body.items()} == {
        "access_token": str,
        "expires_in": int,
        "refresh_token": str,
        "refresh_expires_in": int,
        "open_id": str,
        "scope": str,
        "token_type": str,
    }
    assert (body["expires_in"], body["refresh_expires_in"]) == (DAY, YEAR)
    assert (body["open_id"], body["token_type"]) == (creator.open_id, "Bearer")
    assert body["access_token"].startswith("act.")
    assert body["refresh_token"].startswith("rft.")
    assert works(creator, body["access_token"])


def test_tokens_of_the_control_api_have_the_same_fields_and_their_ends_as_dates(creator: Creator) -> None:
    now = creator.sandbox.now()
    body = control(
        creator.sandbox,
        "POST",
        f"/sandbox/accounts/{creator.open_id}/tokens",
        {"client_key": creator.client_key, "expires_in": 60, "refresh_expires_in": -60},
    )
    ends = [datetime.fromisoformat(body[name]) for name in ("access_expires_at", "refresh_expires_at")]
    assert [end.utcoffset() is not None for end in ends] == [True, True]
    assert [end.timestamp() for end in ends] == pytest.approx([now + 60, now - 60], abs=1.5)
    assert (body["expires_in"], body["refresh_expires_in"]) == (60, -60)
    assert_oauth_error(refresh(creator, body["refresh_token"]), "invalid_grant")


def test_a_client_token_lives_two_hours_and_is_flat(creator: Creator) -> None:
    body = post_token(creator, grant_type="client_credentials").json()
    assert body["access_token"].startswith("clt.")
    assert (body["expires_in"], body["token_type"]) == (7200, "Bearer")
    assert "refresh_token" not in body
    assert not works(creator, body["access_token"])


def test_an_access_token_lives_a_day(creator: Creator) -> None:
    creator.sandbox.advance(DAY - 1)
    assert works(creator, creator.access_token)
    creator.sandbox.advance(2)
    assert not works(creator, creator.access_token)


# Refresh


@pytest.mark.parametrize("scope", ["user.info.basic,video.list", "user.info.basic,video.upload"])
def test_a_refresh_keeps_the_scopes(make_creator: MakeCreator, scope: str) -> None:
    creator = make_creator(scope=scope)
    assert set(refresh(creator).json()["scope"].split(",")) == set(scope.split(","))


@pytest.mark.parametrize("rotates", [True, False])
def test_the_refresh_token_rotates_as_the_switch_says(creator: Creator, rotates: bool) -> None:
    creator.sandbox.set_switches(refresh_rotates=rotates)
    body = refresh(creator).json()
    assert (body["refresh_token"] != creator.refresh_token) == rotates
    assert body["access_token"] != creator.access_token
    assert refresh(creator, body["refresh_token"]).status_code == 200


@pytest.mark.parametrize("switch", ["dies", "lives", "kills_all"])
def test_an_old_refresh_token_does_as_the_switch_says(creator: Creator, switch: str) -> None:
    creator.sandbox.set_switches(old_refresh_token=switch)
    new = refresh(creator).json()
    again = refresh(creator)
    if switch == "lives":
        assert again.status_code == 200
    else:
        assert_oauth_error(again, "invalid_grant")
    assert works(creator, new["access_token"]) == (switch != "kills_all")
    assert (refresh(creator, new["refresh_token"]).status_code == 200) == (switch != "kills_all")


def test_killing_all_tokens_leaves_other_apps_and_creators_alone(
    make_creator: MakeCreator, creator: Creator
) -> None:
    creator.sandbox.set_switches(old_refresh_token="kills_all")
    others = [make_creator(account_of=creator), make_creator(app_of=creator)]
    for _ in range(2):
        refresh(creator)
    assert not works(creator, creator.access_token)
    assert [works(other, other.access_token) for other in others] == [True, True]


@pytest.mark.parametrize("switch", ["lives", "dies"])
def test_an_old_access_token_does_as_the_switch_says(creator: Creator, switch: str) -> None:
    creator.sandbox.set_switches(old_access_token=switch)
    new = refresh(creator).json()["access_token"]
    assert works(creator, new)
    assert works(creator, creator.access_token) == (switch == "lives")


@pytest.mark.parametrize("extends", [True, False])
def test_the_365_days_start_anew_as_the_switch_says(creator: Creator, extends: bool) -> None:
    creator.sandbox.set_switches(refresh_extends=extends)
    creator.sandbox.advance(100 * DAY)
    body = refresh(creator).json()
    assert body["refresh_expires_in"] == pytest.approx(YEAR if extends else YEAR - 100 * DAY, abs=1)
    creator.sandbox.advance(265 * DAY + 1)
    assert (refresh(creator, body["refresh_token"]).status_code == 200) == extends


def test_a_refresh_token_lives_a_year(creator: Creator) -> None:
    creator.sandbox.advance(YEAR + 1)
    assert_oauth_error(refresh(creator), "invalid_grant")


def test_a_refresh_works_on_the_last_day(creator: Creator) -> None:
    creator.sandbox.advance(YEAR - 60)
    assert works(creator, refresh(creator).json()["access_token"])


@pytest.mark.parametrize("token", ["rft.nobody-knows-this-one", "act", "%72ft."])
def test_an_unknown_refresh_token_is_refused(creator: Creator, token: str) -> None:
    given = creator.access_token if token == "act" else token
    assert_oauth_error(refresh(creator, given), "invalid_grant")


def test_the_refresh_token_of_another_app_is_refused(make_creator: MakeCreator, creator: Creator) -> None:
    other = make_creator(account_of=creator)
    assert_oauth_error(refresh(creator, other.refresh_token), "invalid_grant")
    assert refresh(other).status_code == 200


@pytest.mark.parametrize("is_sandbox", [True, False])
@pytest.mark.parametrize("switch", ["works", "refused"])
def test_sandbox_apps_refresh_as_the_switch_says(
    make_creator: MakeCreator, switch: str, is_sandbox: bool
) -> None:
    creator = make_creator(app={"sandbox": is_sandbox})
    creator.sandbox.set_switches(sandbox_refresh=switch)
    if is_sandbox and switch == "refused":
        assert_oauth_error(refresh(creator), "invalid_grant")
    else:
        assert refresh(creator).status_code == 200


# Revoke


def revoke(creator: Creator, **fields: str | None) -> httpx.Response:
    usual = {
        "client_key": creator.client_key,
        "client_secret": creator.client_secret,
        "token": creator.access_token,
    }
    form = {name: value for name, value in {**usual, **fields}.items() if value is not None}
    return BARE.post(creator.sandbox.url + REVOKE, data=form)


def test_a_revocation_is_answered_without_a_body_if_the_switch_says_so(creator: Creator) -> None:
    creator.sandbox.set_switches(revoke_body="empty")
    response = revoke(creator)
    assert (response.status_code, response.content) == (200, b"")
    assert not works(creator, creator.access_token)


def test_a_revoked_token_and_its_refresh_token_are_dead(make_creator: MakeCreator, creator: Creator) -> None:
    bystander = make_creator(app_of=creator)
    response = revoke(creator)
    assert (response.status_code, response.content) == (200, b"{}")
    assert not works(creator, creator.access_token)
    assert_oauth_error(refresh(creator), "invalid_grant")
    assert works(bystander, bystander.access_token)


@pytest.mark.parametrize(
    ("fields", "errors"),
    [
        ({"token": None}, {"invalid_request"}),
        ({"client_key": None}, {"invalid_request", "invalid_client"}),
        ({"client_secret": None}, {"invalid_request", "invalid_client"}),
        ({"client_key": "wrong"}, {"invalid_client"}),
        ({"client_secret": "wrong"}, {"invalid_client"}),
    ],
    ids=str,
)
def test_a_bad_revocation_is_refused_and_the_token_lives(
    creator: Creator, fields: dict[str, str | None], errors: set[str]
) -> None:
    assert_oauth_error(revoke(creator, **fields), errors)
    assert works(creator, creator.access_token)


def test_an_app_cannot_revoke_the_token_of_another(make_creator: MakeCreator, creator: Creator) -> None:
    other = make_creator(account_of=creator)
    assert_oauth_error(revoke(creator, token=other.access_token), {"invalid_grant", "invalid_request"})
    assert works(other, other.access_token)
    assert works(creator, creator.access_token)


def test_revoking_an_unknown_token_harms_nobody(creator: Creator) -> None:
    response = revoke(creator, token="act.nobody-knows-this-one")
    assert response.status_code in {200, 400}
    assert works(creator, creator.access_token)


def test_a_creator_who_removes_the_app_ends_all_its_tokens(
    make_creator: MakeCreator, creator: Creator
) -> None:
    other_app = make_creator(account_of=creator)
    newer = refresh(creator).json()
    body = {"client_key": creator.client_key}
    control(creator.sandbox, "POST", f"/sandbox/accounts/{creator.open_id}/revoke", body)
    assert not works(creator, creator.access_token)
    assert not works(creator, newer["access_token"])
    assert_oauth_error(refresh(creator, newer["refresh_token"]), "invalid_grant")
    assert works(other_app, other_app.access_token)
