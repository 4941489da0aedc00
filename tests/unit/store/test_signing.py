"""What the token of a store request is valid for, and what is refused."""

import base64
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest

from tiktok_provider.security.encryption import Purpose, derived_key
from tiktok_provider.store.signing import (
    HEADER,
    LIFETIME,
    NONCE_LIFETIME,
    SKEW,
    RequestNotAuthenticatedError,
    RequestToken,
    SignedRequest,
)

SECRET = "fake-client-secret"
NOW = datetime(2030, 1, 31, 12, tzinfo=UTC)
REQUEST = SignedRequest(
    "POST", "tiktok_default", "/store/accounts/tiktok_default/refresh", (("b", "2"), ("a", "1")), b'{"n": 1}'
)
KEY = derived_key(SECRET, Purpose.STORE_REQUEST)


def check(
    headers: dict[str, str], request: SignedRequest = REQUEST, secret: str = SECRET, now: datetime = NOW
) -> None:
    RequestToken.of_headers(headers).check(secret, request, now)


def refusal(headers: dict[str, str], request: SignedRequest = REQUEST, secret: str = SECRET) -> str:
    with pytest.raises(RequestNotAuthenticatedError) as refused:
        check(headers, request, secret)
    assert secret not in str(refused.value)
    return refused.value.reason


def claims_of(headers: dict[str, str]) -> dict[str, Any]:
    token = headers[HEADER].removeprefix("Bearer ")
    found: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    return found


def signed(
    changes: dict[str, Any] | None = None, key: bytes = KEY, algorithm: str = "HS256"
) -> dict[str, str]:
    """Return the headers of a token with changed claims; None takes one away."""
    claims = {**claims_of(REQUEST.sign(SECRET, NOW)), **(changes or {})}
    kept = {name: value for name, value in claims.items() if value is not None}
    return {HEADER: f"Bearer {jwt.encode(kept, key, algorithm)}"}


def part(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def test_a_token_is_valid_for_its_own_request() -> None:
    check(REQUEST.sign(SECRET, NOW))


def test_the_order_of_the_query_and_the_case_of_the_method_do_not_matter() -> None:
    check(REQUEST.sign(SECRET, NOW), replace(REQUEST, method="post", query=(("a", "1"), ("b", "2"))))


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"method": "PUT"}, "method"),
        ({"conn_id": "tiktok_other"}, "sub"),
        ({"route": "/store/accounts/tiktok_default/look"}, "route"),
        ({"query": (("a", "1"),)}, "query"),
        ({"query": (("a", "1"), ("b", "3"))}, "query"),
        ({"body": b'{"n": 2}'}, "body_sha256"),
        ({"body": b""}, "body_sha256"),
    ],
    ids=str,
)
def test_a_token_is_valid_for_no_other_request_and_the_sentence_names_what_differs(
    changes: dict[str, Any], name: str
) -> None:
    with pytest.raises(RequestNotAuthenticatedError, match=f"another request.\n{name} differ") as refused:
        check(REQUEST.sign(SECRET, NOW), replace(REQUEST, **changes))
    assert refused.value.reason == "another request"


@pytest.mark.parametrize("place", [0, 1, 2], ids=["header", "claims", "signature"])
def test_no_part_of_a_token_can_be_changed(place: int) -> None:
    ours, others = (
        headers[HEADER].removeprefix("Bearer ").split(".")
        for headers in (REQUEST.sign(SECRET, NOW), signed({"jti": "0" * 32, "iat": int(NOW.timestamp()) + 1}))
    )
    others[0] = part({"alg": "HS256", "typ": "JWT", "kid": "other"})
    ours[place] = others[place]
    assert refusal({HEADER: f"Bearer {'.'.join(ours)}"}) == "signature"


def test_the_secret_of_another_app_is_refused() -> None:
    assert refusal(REQUEST.sign("another-fake-secret", NOW)) == "signature"


def test_no_other_token_of_the_same_secret_fits() -> None:
    assert refusal(signed(key=SECRET.encode().ljust(32, b"\0"))) == "signature"
    assert refusal(signed(key=derived_key(SECRET, Purpose.ACCESS_TOKEN))) == "signature"
    assert refusal(signed({"aud": "another service"})) == "malformed"
    assert refusal(signed({"aud": ["tiktok-store", "another service"]})) == "malformed"


@pytest.mark.parametrize("algorithm", ["HS384", "HS512"])
def test_no_other_algorithm_is_accepted(algorithm: str) -> None:
    assert refusal(signed(key=KEY * 2, algorithm=algorithm)) == "malformed"


def test_a_token_without_a_signature_is_refused() -> None:
    claims = part(claims_of(REQUEST.sign(SECRET, NOW)))
    assert refusal({HEADER: f"Bearer {part({'alg': 'none', 'typ': 'JWT'})}.{claims}."}) == "malformed"
    assert refusal({HEADER: f"Bearer {part({'alg': 'HS256', 'typ': 'JWT'})}.{claims}."}) == "signature"


@pytest.mark.parametrize("seconds", [-300, 300])
def test_clocks_may_be_five_minutes_apart(seconds: int) -> None:
    check(REQUEST.sign(SECRET, NOW), now=NOW + timedelta(seconds=seconds))


@pytest.mark.parametrize(("seconds", "said"), [(-301, "ahead"), (301, "behind")])
def test_clocks_that_are_further_apart_are_refused_with_the_difference(seconds: int, said: str) -> None:
    with pytest.raises(
        RequestNotAuthenticatedError, match=rf"301 s apart\.\nThe sender's is {said}"
    ) as refused:
        check(REQUEST.sign(SECRET, NOW), now=NOW + timedelta(seconds=seconds))
    assert refused.value.reason == "clock"


def test_a_token_that_says_that_it_has_expired_is_refused() -> None:
    assert refusal(signed({"exp": int(NOW.timestamp()) - 1})) == "clock"


def test_nonces_are_kept_for_as_long_as_a_token_can_be_valid() -> None:
    claims = claims_of(REQUEST.sign(SECRET, NOW + SKEW))
    assert claims["exp"] - claims["iat"] == LIFETIME.total_seconds()
    assert datetime.fromtimestamp(claims["exp"], UTC) <= NOW + NONCE_LIFETIME


def test_a_token_shows_nothing_of_the_secret() -> None:
    headers = REQUEST.sign(SECRET, NOW)
    assert SECRET not in str(headers) + str(claims_of(headers))
    assert headers[HEADER] not in repr(RequestToken.of_headers(headers))
    assert headers[HEADER].removeprefix("Bearer ") not in repr(RequestToken.of_headers(headers))


def test_every_token_has_a_nonce_of_its_own() -> None:
    assert len({RequestToken.of_headers(REQUEST.sign(SECRET, NOW)).nonce for _ in range(100)}) == 100


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ("", "missing"),
        ("Basic YWRtaW46YWRtaW4=", "missing"),
        ("Bearer ", "malformed"),
        ("Bearer nonsense", "malformed"),
        ("Bearer a.b.c", "malformed"),
        ("Bearer é.é.é", "malformed"),
        (f"Bearer {part({'alg': 'HS256'})}.{part([])}.", "malformed"),
        (f"Bearer {part({'alg': 'HS256'})}.{part('x' * 20_000)}.", "malformed"),
        (f"Bearer {part({'alg': 'HS256'})}.{base64.urlsafe_b64encode(b'[' * 9_000).decode()}.", "malformed"),
        (f"Bearer {base64.urlsafe_b64encode(b'[' * 9_000).decode()}.{part({})}.", "malformed"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_missing_and_malformed_headers_are_refused(header: str, reason: str) -> None:
    with pytest.raises(RequestNotAuthenticatedError) as refused:
        RequestToken.of_headers({HEADER: header})
    assert refused.value.reason == reason


@pytest.mark.parametrize(
    "name", ["aud", "sub", "method", "route", "query", "body_sha256", "iat", "exp", "jti"]
)
def test_every_claim_is_required(name: str) -> None:
    assert refusal(signed({name: None})) == "malformed"


@pytest.mark.parametrize(
    "changes",
    [
        *({"iat": "soon"}, {"iat": -1}, {"iat": 10**400}, {"iat": 1.5}, {"exp": True}, {"exp": 10**11}),
        *({"jti": "0" * 33}, {"jti": "G" * 32}, {"jti": "0" * 32 + "\n"}, {"body_sha256": "A" * 64}),
        *({"query": "a=1"}, {"query": [["a", 1]]}, {"method": 1}),
    ],
    ids=lambda changes: str(changes)[:40],
)
def test_malformed_claims_are_refused(changes: dict[str, Any]) -> None:
    assert refusal(signed(changes)) == "malformed"


def test_a_token_that_is_far_too_long_is_refused_whatever_it_says() -> None:
    assert refusal(signed({"more": "x" * 20_000})) == "malformed"
