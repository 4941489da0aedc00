"""The pytest fixture `tiktok_sandbox`: a fresh local TikTok for each test.

pytest loads this module in every run, so what the fixtures need is imported when they are first used.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tiktok_sandbox.client import Sandbox


@pytest.fixture(scope="session")
def _tiktok_sandbox_server() -> Iterator[Sandbox]:
    from tiktok_sandbox.client import Sandbox
    from tiktok_sandbox.server import running_sandbox

    with running_sandbox(port=0) as server, Sandbox(server.url) as sandbox:
        yield sandbox


@pytest.fixture
def tiktok_sandbox(_tiktok_sandbox_server: Sandbox) -> Sandbox:
    """A `tiktok_sandbox.client.Sandbox` without apps, accounts, posts or faults, all switches at default."""
    _tiktok_sandbox_server.reset(seed=1)
    return _tiktok_sandbox_server
