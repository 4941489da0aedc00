"""What a proof covers, and what is refused."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tiktok_provider.store.signing import NONCE, SIGNATURE, TIMESTAMP, Proof, ProofRefusedError, SignedRequest

SECRET = "fake-client-secret"
NOW = datetime(2030, 1, 31, 12, tzinfo=UTC)
REQUEST = SignedRequest(
    "POST", "tiktok_default", "/store/accounts/tiktok_default/refresh", (("b", "2"), ("a", "1")), b'{"n": 1}'
)


def refusal(proof: Proof, request: SignedRequest = REQUEST, secret: str = SECRET, now: datetime = NOW) -> str:
    with pytest.raises(ProofRefusedError) as refused:
        proof.check(secret, request, now)
    assert secret not in str(refused.value)
    return refused.value.reason


def test_a_proof_holds_for_its_own_request() -> None:
    Proof.make(SECRET, REQUEST, NOW).check(SECRET, REQUEST, NOW)


def test_the_order_of_the_query_and_the_case_of_the_method_do_not_matter() -> None:
    proof = Proof.make(SECRET, REQUEST, NOW)
    proof.check(SECRET, replace(REQUEST, method="post", query=(("a", "1"), ("b", "2"))), NOW)


@pytest.mark.parametrize(
    "changes",
    [
        {"method": "PUT"},
        {"conn_id": "tiktok_other"},
        {"route": "/store/accounts/tiktok_default/look"},
        {"query": (("a", "1"),)},
        {"query": (("a", "1"), ("b", "3"))},
        {"body": b'{"n": 2}'},
        {"body": b""},
    ],
    ids=str,
)
def test_a_proof_holds_for_no_other_request(changes: dict[str, Any]) -> None:
    assert refusal(Proof.make(SECRET, REQUEST, NOW), replace(REQUEST, **changes)) == "signature"


@pytest.mark.parametrize(
    "changes",
    [{"timestamp": int(NOW.timestamp()) + 1}, {"nonce": "0" * 32}, {"signature": "0" * 64}],
    ids=str,
)
def test_no_part_of_a_proof_can_be_changed(changes: dict[str, Any]) -> None:
    assert refusal(replace(Proof.make(SECRET, REQUEST, NOW), **changes)) == "signature"


def test_the_secret_of_another_app_proves_nothing() -> None:
    assert refusal(Proof.make("another-fake-secret", REQUEST, NOW)) == "signature"


@pytest.mark.parametrize("seconds", [-300, 300])
def test_clocks_may_be_five_minutes_apart(seconds: int) -> None:
    Proof.make(SECRET, REQUEST, NOW).check(SECRET, REQUEST, NOW + timedelta(seconds=seconds))


@pytest.mark.parametrize(("seconds", "said"), [(-301, "301 s after"), (301, "301 s before")])
def test_an_older_or_later_proof_is_refused_with_how_far_the_clocks_are_apart(
    seconds: int, said: str
) -> None:
    proof = Proof.make(SECRET, REQUEST, NOW)
    with pytest.raises(ProofRefusedError, match=said) as refused:
        proof.check(SECRET, REQUEST, NOW + timedelta(seconds=seconds))
    assert refused.value.reason == "timestamp"


def test_a_proof_travels_in_headers() -> None:
    proof = Proof.make(SECRET, REQUEST, NOW)
    assert Proof.of_headers(proof.headers()) == proof
    assert SECRET not in str(proof.headers())


def test_every_proof_has_a_nonce_of_its_own() -> None:
    assert len({Proof.make(SECRET, REQUEST, NOW).nonce for _ in range(100)}) == 100


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({TIMESTAMP: ""}, "missing"),
        ({NONCE: ""}, "missing"),
        ({SIGNATURE: ""}, "missing"),
        ({TIMESTAMP: "soon"}, "malformed"),
        ({TIMESTAMP: "²"}, "malformed"),
        ({TIMESTAMP: "9" * 5000}, "malformed"),
        ({NONCE: "0" * 33}, "malformed"),
        ({SIGNATURE: "é" * 64}, "malformed"),
        ({SIGNATURE: "A" * 64}, "malformed"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_missing_and_malformed_headers_are_refused(changes: dict[str, str], reason: str) -> None:
    headers = {**Proof.make(SECRET, REQUEST, NOW).headers(), **changes}
    with pytest.raises(ProofRefusedError) as refused:
        Proof.of_headers(headers)
    assert refused.value.reason == reason
