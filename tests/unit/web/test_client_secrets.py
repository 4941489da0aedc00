"""Which look-ups of client secrets callers cost, and that strangers cost nothing but their own time."""

import asyncio
import threading
from collections.abc import Callable

import pytest

from tiktok_provider.store.errors import StoreBusyError
from tiktok_provider.store.signing import RequestNotAuthenticatedError
from tiktok_provider.web import client_secrets
from tiktok_provider.web.client_secrets import KEEP, ClientSecrets


class Backend:
    """A secrets backend, and a clock."""

    def __init__(self) -> None:
        self.secrets = {"mia": "s1"}
        self.asked: list[str] = []
        self.now = 1000.0
        self.slow: set[str] = set()
        self.go_on = threading.Event()

    def look_up(self, conn_id: str) -> str:
        self.asked.append(conn_id)
        if conn_id in self.slow:
            self.go_on.wait(60)
        return self.secrets.get(conn_id, "nobody knows it")


@pytest.fixture
def backend() -> Backend:
    return Backend()


@pytest.fixture
def secrets(backend: Backend) -> ClientSecrets:
    return ClientSecrets(lambda conn_id: backend.look_up(conn_id), clock=lambda: backend.now)


def knows(word: str) -> Callable[[str], None]:
    """Return the check of a request that was signed with this secret."""

    def check(secret: str) -> None:
        if secret != word:
            raise RequestNotAuthenticatedError("wrong", reason="signature")

    return check


def test_a_caller_that_knows_the_secret_costs_one_look_up_in_half_a_minute(
    secrets: ClientSecrets, backend: Backend
) -> None:
    for _ in range(5):
        asyncio.run(secrets.check("mia", knows("s1")))
        backend.now += KEEP / 10
    assert backend.asked == ["mia"]
    backend.now += KEEP
    asyncio.run(secrets.check("mia", knows("s1")))
    assert backend.asked == ["mia"] * 2


def test_a_secret_that_was_rotated_is_looked_up_again_for_the_first_that_has_the_new_one(
    secrets: ClientSecrets, backend: Backend
) -> None:
    asyncio.run(secrets.check("mia", knows("s1")))
    backend.secrets["mia"] = "s2"
    asyncio.run(secrets.check("mia", knows("s2")))
    with pytest.raises(RequestNotAuthenticatedError):
        asyncio.run(secrets.check("mia", knows("s1")))


def test_a_stranger_costs_a_known_caller_no_look_up(secrets: ClientSecrets, backend: Backend) -> None:
    asyncio.run(secrets.check("mia", knows("s1")))
    with pytest.raises(RequestNotAuthenticatedError):
        asyncio.run(secrets.check("mia", knows("guess")))
    assert backend.asked == ["mia"] * 2
    asyncio.run(secrets.check("mia", knows("s1")))
    assert backend.asked == ["mia"] * 2


def test_those_who_ask_at_once_share_a_look_up(secrets: ClientSecrets, backend: Backend) -> None:
    async def ask() -> None:
        await asyncio.gather(*(secrets.check("mia", knows("s1")) for _ in range(10)))

    asyncio.run(ask())
    assert backend.asked == ["mia"]


def test_known_callers_are_served_while_strangers_wait_for_a_slow_backend(
    secrets: ClientSecrets, backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_secrets, "MOST_WAITING", 5)
    backend.slow = {f"stranger {number}" for number in range(10)}

    async def meet() -> list[object]:
        await secrets.check("mia", knows("s1"))
        strangers = [
            asyncio.create_task(secrets.check(conn_id, knows("guess"))) for conn_id in sorted(backend.slow)
        ]
        await asyncio.sleep(0)
        # Its time is over, so it is looked up, too.
        backend.now += KEEP
        await secrets.check("mia", knows("s1"))
        backend.go_on.set()
        return list(await asyncio.gather(*strangers, return_exceptions=True))

    ends = asyncio.run(meet())
    assert [type(end) for end in ends] == [RequestNotAuthenticatedError] * 5 + [StoreBusyError] * 5


def test_no_more_secrets_are_kept_than_so_many(
    secrets: ClientSecrets, backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_secrets, "MOST_KEPT", 2)
    for conn_id in ("a", "b", "c", "a"):
        asyncio.run(secrets.check(conn_id, knows("nobody knows it")))
    assert backend.asked == ["a", "b", "c", "a"]
    assert len(secrets._known) == 2
