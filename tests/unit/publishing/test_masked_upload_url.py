"""Upload URLs carry a token: no log may show them, in no try."""

from pathlib import Path

import pytest

from tests.unit.conftest import Creator, Task
from tests.unit.operators.test_publish_video import die_at_upload, publish
from tiktok_provider.security.encryption import decrypt


def test_the_upload_url_of_a_resumed_upload_is_masked_again(
    creator: Creator, task: Task, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    die_at_upload(creator, task, clip, after=0)
    record = task.record
    assert record
    url = decrypt(creator.app.client_secret, record.encrypted_upload_url or "")
    assert url
    token = url.partition("upload_token=")[2]
    assert token
    masked: list[str] = []
    monkeypatch.setattr("tiktok_provider.publishing.chunk_stream.mask_secret", masked.append)
    publish(clip).execute(task.next_try().context)
    assert {url, token} <= set(masked), "the next try is another process, which knows of no mask"
    assert len(creator.sandbox.feed()) == 1
