"""The sandbox as the demo serves it."""

from pathlib import Path

import httpx
import pytest

from local_sandbox import SandboxProcessError, local_sandbox


def test_the_sandbox_is_served_until_the_end_and_leaves_no_media(tmp_path: Path) -> None:
    with local_sandbox(tmp_path, tmp_path / "sandbox.log", port=0) as sandbox:
        assert sandbox.feed() == []
        assert sandbox.publishes() == []
        assert list(tmp_path.glob("sandbox-*"))
    with pytest.raises(httpx.ConnectError):
        sandbox.feed()
    assert not list(tmp_path.glob("sandbox-*"))


def test_another_creator_has_authorized_the_same_app(tmp_path: Path) -> None:
    with local_sandbox(tmp_path, tmp_path / "sandbox.log", port=0) as sandbox:
        creator = sandbox.another_creator("mia")
        header = {"Authorization": f"Bearer {creator['access_token']}"}
        page = f"{sandbox.url}/v2/user/info/?fields=open_id,username"
        user = httpx.get(page, headers=header, trust_env=False).json()["data"]["user"]
    assert (user["username"], user["open_id"]) == ("mia", creator["open_id"])
    assert creator["open_id"] != sandbox.credentials["open_id"]


def test_a_sandbox_that_cannot_start_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # No port can be had there: 99999 is none.
    monkeypatch.setattr("local_sandbox.free_port", lambda _port: 99999)
    with (
        pytest.raises(SandboxProcessError, match=r"ended while it started: .+"),
        local_sandbox(tmp_path, tmp_path / "sandbox.log"),
    ):
        pytest.fail("it was served")
