"""Chunks are streamed, the upload URL is masked, and the last byte of a changed file stays here."""

from pathlib import Path

import pytest
from airflow.sdk._shared.secrets_masker import redact

from tests.unit.conftest import Creator, Task
from tests.unit.publishing.sessions import claim, direct_video, session_of
from tiktok_provider.api.chunks import Chunk, ChunkPlan
from tiktok_provider.exceptions import HostNotAllowedError, InvalidInputError
from tiktok_provider.hooks.tiktok import TikTokHook
from tiktok_provider.publishing import attempt
from tiktok_provider.publishing.chunk_stream import Progress, Upload
from tiktok_provider.publishing.media.video_file import VideoFile
from tiktok_provider.security.encryption import decrypt

TOKEN = "made-up/upload=token"
SPELLINGS = [TOKEN, "made-up%2Fupload%3Dtoken"]


def upload(hook: TikTokHook, clip: Path, url: str) -> Upload:
    size = clip.stat().st_size
    return Upload(hook, VideoFile(clip), ChunkPlan(size, size, 1), url)


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_the_token_of_an_upload_url_is_masked_in_every_spelling(
    creator: Creator, hook: TikTokHook, clip: Path, spelling: str
) -> None:
    url = f"{creator.sandbox.url}/upload?upload_token={SPELLINGS[1]}"
    assert redact(f"sending to {spelling}") == f"sending to {spelling}"
    upload(hook, clip, url)
    assert redact(f"sending to {spelling}") == "sending to ***"


def test_the_upload_url_of_a_resumed_upload_is_masked_in_the_process_of_the_second_try(
    creator: Creator, hook: TikTokHook, task: Task, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = direct_video(VideoFile(clip))
    first = session_of(hook, task, request)
    claim(first)
    creator.sandbox.add_fault("status", path="/upload", status=307, times=None)
    with pytest.raises(Exception, match="307"):
        attempt.begin(first)
    creator.sandbox.clear_faults()
    masked: list[str] = []
    monkeypatch.setattr("tiktok_provider.publishing.chunk_stream.mask_secret", masked.append)
    second = session_of(hook, task.next_try(), request)
    claim(second)
    assert attempt.resume(second, second.stored_post.record)
    url = decrypt(hook.account.client_secret, second.stored_post.record.encrypted_upload_url or "")
    assert url in masked


def test_no_byte_goes_to_a_host_that_is_not_tiktoks(hook: TikTokHook, clip: Path) -> None:
    with pytest.raises(HostNotAllowedError) as refusal:
        upload(hook, clip, f"https://evil.example/upload?upload_token={TOKEN}")
    assert TOKEN not in str(refusal.value)


def test_a_file_that_has_changed_is_not_sent(
    creator: Creator, hook: TikTokHook, clip: Path, tmp_path: Path
) -> None:
    video = tmp_path / "video.mp4"
    video.write_bytes(clip.read_bytes())
    sending = upload(hook, video, f"{creator.sandbox.url}/upload?upload_token=x")
    assert not sending.file_has_changed()
    video.write_bytes(clip.read_bytes() + b"\x00")
    with pytest.raises(InvalidInputError, match="has changed since it was checked"):
        sending.send(Chunk(0, 0, clip.stat().st_size - 1))
    assert (creator.calls("/upload"), sending.last_byte_may_have_left) == ([], False)


def test_progress_is_logged_every_five_seconds_and_at_the_end(caplog: pytest.LogCaptureFixture) -> None:
    times = iter([0.0, 4.9, 5.0, 5.0, 6.0, 7.0])
    progress = Progress(4_000_000, clock=lambda: next(times))
    with caplog.at_level("INFO"):
        list(progress.watch(0, iter([b"x" * 1_000_000] * 2)))
        progress.confirm(3_000_000)
        assert caplog.messages == ["Sent 2.0 of 4.0 MB (50 %) in 5 s"]
        progress.confirm(4_000_000)
    assert caplog.messages[1:] == ["Uploaded 4.0 of 4.0 MB (100 %) in 7 s"]
