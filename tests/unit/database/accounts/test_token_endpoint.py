"""The way to TikTok's token endpoint: what it may cost the event loop that heartbeats share."""

import threading

import httpx
import pytest

from tests.unit.database.accounts.refreshing import refresh
from tests.unit.databases import Mia
from tiktok_provider.security.tls import tiktok_tls
from tiktok_provider.store.token_sets import TokenState


def test_certificates_are_read_once_and_off_the_event_loop(
    expired: Mia, monkeypatch: pytest.MonkeyPatch
) -> None:
    really, threads = httpx.create_ssl_context, []

    def read_certificates() -> object:
        threads.append(threading.current_thread())
        return really()

    monkeypatch.setattr(httpx, "create_ssl_context", read_certificates)
    tiktok_tls.cache_clear()
    for generation in (1, 2):
        assert isinstance(refresh(expired, generation), TokenState)
    assert len(threads) == 1
    assert threads[0] is not threading.main_thread()
