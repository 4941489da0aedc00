"""Photo posts through the sandbox: published, delivered as drafts, refused, uncertain; never two."""

import hashlib
import io
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from PIL import Image

from tests.unit.conftest import Creator, Task
from tiktok_provider.exceptions import (
    ConnectionSettingsError,
    InvalidInputError,
    PostFailedError,
    ServiceError,
)
from tiktok_provider.operators.publish_photos import TikTokPublishPhotosOperator
from tiktok_provider.operators.upload_photos import TikTokUploadPhotosOperator
from tiktok_provider.publishing.media.public_images import PhotoUnreachableError
from tiktok_provider.publishing.waiting.uncertain import UncertainPostError
from tiktok_provider.store.errors import PostConflictError
from tiktok_provider.store.posts import PostRecord, PostState

INIT = "/v2/post/publish/content/init/"
CREATOR_INFO = "/v2/post/publish/creator_info/query/"

pytestmark = pytest.mark.usefixtures("no_waiting")


def picture(kind: str = "JPEG", width: int = 90, height: int = 160, **options: Any) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (width, height), "teal").save(file, kind, **options)
    return file.getvalue()


class Album:
    """A web server with pictures."""

    def __init__(self) -> None:
        self.answers: dict[str, tuple[int, bytes]] = {}
        # What lies in it is shown below /public/.
        self.folder: Path | None = None
        album = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, body = album.answer(self.path.partition("?")[0])
                self.send_response(status)
                if 300 <= status < 400:
                    self.send_header("Location", "/1.jpg")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def answer(self, path: str) -> tuple[int, bytes]:
        file = self.folder / path.removeprefix("/public/") if self.folder else None
        if path.startswith("/public/") and file and file.is_file():
            return 200, file.read_bytes()
        return self.answers.get(path, (404, b""))

    def serve(self, name: str, body: bytes, status: int = 200) -> str:
        self.answers[f"/{name.partition('?')[0]}"] = (status, body)
        return f"{self.url}/{name}"


@pytest.fixture
def album(creator: Creator) -> Iterator[Album]:
    found = Album()
    thread = Thread(target=found.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    creator.monkeypatch.setenv("AIRFLOW__TIKTOK__ALLOWED_HOSTS", f"{creator.sandbox.url} {found.url}")
    yield found
    found.server.shutdown()
    found.server.server_close()
    thread.join()


def publish(urls: Any, **parameters: Any) -> TikTokPublishPhotosOperator:
    return TikTokPublishPhotosOperator(
        task_id="publish",
        photo_urls=urls,
        **{"privacy_level": "PUBLIC_TO_EVERYONE", "deferrable": False, **parameters},
    )


def upload(urls: Any, **parameters: Any) -> TikTokUploadPhotosOperator:
    return TikTokUploadPhotosOperator(
        task_id="publish", photo_urls=urls, **{"deferrable": False, **parameters}
    )


def test_photos_are_out_with_texts_settings_and_cover(creator: Creator, task: Task, album: Album) -> None:
    urls = [album.serve("1.jpg", picture()), album.serve("2.webp?version=7", picture("WEBP"))]
    result = publish(
        urls, title="Spring", description="Out now #spring", cover_index=1, auto_add_music=True, is_aigc=True
    ).execute(task.context)
    [post] = creator.sandbox.feed()
    assert (post["kind"], len(post["photo_sha256s"])) == ("photo", 2)
    assert result["status"] == "PUBLISH_COMPLETE"
    assert result["post_ids"] == [post["post_id"]]
    assert str(result["post_url"]).endswith(f"/photo/{post['post_id']}")
    shown = {name: post[name] for name in ("title", "description", "photo_cover_index", "is_aigc")}
    assert shown == {
        "title": "Spring",
        "description": "Out now #spring",
        "photo_cover_index": 1,
        "is_aigc": True,
    }
    again = publish(urls, title="Spring").execute(task.next_try().context)
    assert (again["reused"], len(creator.sandbox.feed())) == (True, 1)


def test_a_draft_lands_in_the_inbox_with_its_texts(creator: Creator, task: Task, album: Album) -> None:
    urls = [album.serve("1.jpg", picture())]
    result = upload(urls, title="Spring", description="Out now").execute(task.context)
    assert (result["status"], result["reused"]) == ("SEND_TO_USER_INBOX", False)
    assert creator.calls(CREATOR_INFO) == []
    [delivered] = creator.sandbox.feed()
    assert delivered["title"] == "Spring"
    assert task.record
    assert task.record.state == PostState.IN_INBOX
    assert upload(urls).execute(task.next_try().context)["reused"]
    assert creator.calls(INIT) == [INIT]


def test_every_bad_photo_is_named_and_nothing_is_sent(creator: Creator, task: Task, album: Album) -> None:
    urls = [
        album.serve("0.jpg", picture()),
        album.serve("1.png", picture("PNG")),
        album.serve("2.jpg", picture(width=1200, height=1300)),
        album.serve("3.jpg", b"<html>no picture"),
        album.serve("4.jpg", b"", 403),
        album.serve("5.jpg", b"", 302),
        album.serve("6.jpg?signature=fake-secret", picture() + b"\0" * 20_000_000),
        f"{album.url}/7.jpg",
        album.serve("8.webp", picture("WEBP", 1080, 1920)),
    ]
    with pytest.raises(InvalidInputError) as refusal:
        publish(urls).execute(task.context)
    said = [violation.partition(",")[0] for violation in refusal.value.violations]
    assert said == [
        "photo_urls[1] is PNG",
        "photo_urls[2] is 1200 x 1300 pixels",
        "photo_urls[3] is no image",
        "photo_urls[4] is answered with HTTP 403",
        "photo_urls[5] is answered with HTTP 302",
        "photo_urls[6] is 20",
        "photo_urls[7] is answered with HTTP 404",
    ]
    assert "fake-secret" not in str(refusal.value)
    assert creator.calls(INIT) == []


def test_a_photo_that_lies_on_its_side_is_measured_as_it_is_shown(task: Task, album: Album) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    wide = album.serve("1.jpg", picture(width=1920, height=1080, exif=exif))
    assert publish([wide]).execute(task.context)["status"] == "PUBLISH_COMPLETE"


def test_a_host_that_is_away_is_no_bad_input_and_is_asked_again_by_a_retry(
    creator: Creator, task: Task, album: Album
) -> None:
    url = album.serve("1.jpg", picture(), 503)
    with pytest.raises(PhotoUnreachableError, match=r"photo_urls\[0\] cannot be fetched now: HTTP 503"):
        publish([url]).execute(task.context)
    album.serve("1.jpg", picture())
    assert publish([url]).execute(task.next_try().context)["reused"] is False
    assert len(creator.sandbox.feed()) == 1


def test_urls_that_only_tiktok_may_read_are_not_asked_for(creator: Creator, task: Task, album: Album) -> None:
    url = f"{album.url}/gone.jpg"
    with pytest.raises(PostFailedError, match="photo_pull_failed"):
        publish([url], check_urls=False).execute(task.context)
    assert creator.calls(INIT) == [INIT]


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"title": "x" * 91}, "title is 91 UTF-16"),
        ({"description": "x" * 4001}, "description is 4001 UTF-16"),
        ({"cover_index": 2}, "cover_index is 2, allowed: 0 to 1"),
        ({"cover_index": -1}, "cover_index is -1"),
        ({"privacy_level": "SELF_ONLY", "brand_content": True}, "SELF_ONLY with brand_content"),
        ({"photo_urls": []}, "photo_urls is a list of 0, allowed: 1 to 35"),
        ({"photo_urls": ["https://a.example/1.jpg"] * 36}, "photo_urls is a list of 36"),
        ({"photo_urls": ["http://a.example/1.jpg"]}, r"photo_urls\[0\] is http://a.example/1.jpg"),
    ],
)
def test_what_tiktok_would_refuse_is_refused_before_anything_is_asked(
    creator: Creator, task: Task, parameters: dict[str, Any], said: str
) -> None:
    urls = parameters.pop("photo_urls", ["https://a.example/1.jpg", "https://a.example/2.jpg"])
    with pytest.raises(InvalidInputError, match=said):
        publish(urls, **parameters).execute(task.context)
    assert creator.calls() == []


@pytest.mark.parametrize(
    ("urls", "said"),
    [
        (
            "https://a.example/1.jpg",
            "photo_urls is 'https://a.example/1.jpg', it must be of type list of str",
        ),
        (["https://a.example/1.jpg", 7], "photo_urls is of type list, it must be of type list of str"),
        (["https://a.example/1.jpg", "None"], r"photo_urls\[1\] is 'None'"),
    ],
)
def test_a_list_that_is_none_is_refused_while_the_dag_is_parsed(urls: Any, said: str) -> None:
    with pytest.raises(InvalidInputError, match=said):
        publish(urls)


def test_a_lost_answer_to_init_leaves_one_post_and_a_question(
    creator: Creator, task: Task, album: Album
) -> None:
    urls = [album.serve("1.jpg", picture())]
    creator.sandbox.add_fault("lost_answer", path=INIT)
    with pytest.raises(UncertainPostError, match="airflow tiktok resolve"):
        publish(urls).execute(task.context)
    with pytest.raises(UncertainPostError):
        publish(urls).execute(task.next_try().context)
    creator.sandbox.advance(60)
    assert len(creator.sandbox.feed()) == 1
    assert creator.calls(INIT) == [INIT]


def test_a_post_that_tiktok_reports_as_failed_is_made_anew(
    creator: Creator, task: Task, album: Album
) -> None:
    url = album.serve("1.jpg", picture("PNG"))
    with pytest.raises(PostFailedError):
        publish([url], check_urls=False).execute(task.context)
    album.serve("1.jpg", picture())
    assert publish([url]).execute(task.next_try().context)["reused"] is False
    assert len(creator.sandbox.feed()) == 1


def test_comments_that_the_creator_has_switched_off_are_left_off_with_a_warning(
    creator: Creator, task: Task, album: Album, caplog: pytest.LogCaptureFixture
) -> None:
    creator.sandbox.update_account(creator.open_id, comment_disabled=True)
    publish([album.serve("1.jpg", picture())], allow_comment=True).execute(task.context)
    [post] = creator.sandbox.feed()
    assert post["disable_comment"] is True
    assert "allow_comment has no effect" in caplog.text


def test_the_same_photos_under_another_key_are_refused_in_the_same_slot(task: Task, album: Album) -> None:
    urls = [album.serve("1.jpg", picture()), album.serve("2.jpg", picture())]
    publish(urls).execute(task.context)
    with pytest.raises(PostConflictError):
        publish(urls, post_key="another").execute(task.next_try().context)
    publish(urls[::-1], post_key="another order").execute(task.next_try().context)


@pytest.fixture
def shelf(album: Album, tmp_path: Path) -> Path:
    """A folder that the album shows to the public."""
    folder = tmp_path / "public"
    folder.mkdir()
    album.folder = folder
    return folder


def files(tmp_path: Path) -> list[Path]:
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "A camera of Mia's"
    pictures = {
        "0.png": picture("PNG", 2000, 3000),
        "1.jpg": picture("JPEG", 4000, 3000, exif=exif),
        "2.webp": picture("WEBP", 90, 160),
    }
    paths = [tmp_path / name for name in pictures]
    for path in paths:
        path.write_bytes(pictures[path.name])
    return paths


def from_files(paths: Any, album: Album, shelf: Path, **parameters: Any) -> TikTokPublishPhotosOperator:
    return publish(
        None, photos=paths, publish_to=str(shelf), public_base_url=f"{album.url}/public", **parameters
    )


def test_a_folder_of_pngs_and_large_photos_is_a_carousel(
    creator: Creator, task: Task, album: Album, shelf: Path, tmp_path: Path
) -> None:
    result = from_files(files(tmp_path), album, shelf, keep_public_photos=True).execute(task.context)
    assert result["status"] == "PUBLISH_COMPLETE"
    [post] = creator.sandbox.feed()
    published = {hashlib.sha256(path.read_bytes()).hexdigest(): path for path in shelf.rglob("*.*")}
    photos = [Image.open(published[digest]) for digest in post["photo_sha256s"]]
    assert [(photo.format, photo.size) for photo in photos] == [
        ("JPEG", (1080, 1620)),
        ("JPEG", (1080, 1440)),
        ("WEBP", (90, 160)),
    ]
    assert not any(photo.getexif() for photo in photos)
    for photo in photos:
        photo.close()


def test_the_public_copies_are_removed_once_the_post_is_out(
    task: Task, album: Album, shelf: Path, tmp_path: Path
) -> None:
    from_files(files(tmp_path), album, shelf).execute(task.context)
    assert list(shelf.rglob("*.*")) == []


def test_what_is_cut_off_before_init_is_not_written_again(
    creator: Creator, task: Task, album: Album, shelf: Path, tmp_path: Path
) -> None:
    creator.sandbox.add_fault("status", path=CREATOR_INFO, status=503, times=4)
    with pytest.raises(ServiceError):
        from_files(files(tmp_path), album, shelf).execute(task.context)
    written = {path: path.stat().st_mtime_ns for path in shelf.rglob("*.*")}
    assert len(written) == 3
    kept = from_files(files(tmp_path), album, shelf, keep_public_photos=True)
    assert kept.execute(task.next_try().context)["reused"] is False
    assert {path: path.stat().st_mtime_ns for path in shelf.rglob("*.*")} == written


def test_without_public_storage_the_error_says_what_to_set_and_why(
    creator: Creator, task: Task, tmp_path: Path
) -> None:
    with pytest.raises(
        ConnectionSettingsError, match=r"(?s)publish_to and public_base_url.*only from public URLs"
    ):
        publish(None, photos=files(tmp_path)).execute(task.context)
    assert creator.calls() == []


def test_the_public_storage_may_be_set_in_the_connection(
    creator: Creator, task: Task, album: Album, shelf: Path, tmp_path: Path
) -> None:
    creator.connect(extra={"publish_to": str(shelf), "public_base_url": f"{album.url}/public"})
    assert publish(None, photos=files(tmp_path)).execute(task.context)["status"] == "PUBLISH_COMPLETE"


def test_files_that_are_no_photos_are_all_named(
    creator: Creator, task: Task, album: Album, shelf: Path, tmp_path: Path
) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("no picture")
    with pytest.raises(InvalidInputError) as refusal:
        from_files([text, tmp_path / "gone.png"], album, shelf).execute(task.context)
    assert len(refusal.value.violations) == 2
    assert "is no image" in refusal.value.violations[0]
    assert "does not exist" in refusal.value.violations[1]
    assert creator.calls() == []


def test_a_copy_that_the_public_does_not_find_is_named(
    creator: Creator, task: Task, album: Album, shelf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tiktok_provider.publishing.media.photo_files.LONGEST_DELAY", 0.0)
    album.folder = None
    with pytest.raises(InvalidInputError, match=r"public copy of photos\[0\] is answered with HTTP 404"):
        from_files(files(tmp_path), album, shelf).execute(task.context)
    assert creator.calls(INIT) == []


def test_photos_that_were_rendered_again_in_place_are_the_same_post(
    creator: Creator, task: Task, album: Album, shelf: Path, tmp_path: Path
) -> None:
    paths = files(tmp_path)
    from_files(paths, album, shelf).execute(task.context)
    paths[0].write_bytes(picture("PNG", 300, 300))
    assert from_files(paths, album, shelf).execute(task.next_try().context)["reused"]
    assert len(creator.sandbox.feed()) == 1


def test_either_urls_or_files_are_given() -> None:
    with pytest.raises(ValueError, match="either photo_urls"):
        publish(None)


def test_each_photo_is_known_to_the_datas_lineage_without_its_signature(
    album: Album, shelf: Path, tmp_path: Path
) -> None:
    urls = publish([f"{album.url}/1.jpg?signature=fake", f"{album.url}/2.jpg"])
    assert urls.media_locations() == [f"{album.url}/1.jpg", f"{album.url}/2.jpg"]
    paths = files(tmp_path)
    assert from_files(paths, album, shelf).media_locations() == [str(path) for path in paths]


def test_a_post_removes_its_own_copies_alone(task: Task, album: Album, shelf: Path, tmp_path: Path) -> None:
    paths = files(tmp_path)
    kept = from_files(paths, album, shelf, keep_public_photos=True, post_key="first")
    kept.execute(task.context)
    copies = sorted(shelf.rglob("*.*"))
    paths[0].write_bytes(picture("PNG", 300, 300))
    from_files(paths, album, shelf, post_key="second").execute(task.context)
    assert sorted(shelf.rglob("*.*")) == copies


def test_what_is_removed_does_not_depend_on_the_files_as_they_are_by_then(
    task: Task, album: Album, shelf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = files(tmp_path)
    clean_up = TikTokPublishPhotosOperator.clean_up

    def written_again(operator: TikTokPublishPhotosOperator, record: PostRecord) -> None:
        paths[0].unlink()
        clean_up(operator, record)

    monkeypatch.setattr(TikTokPublishPhotosOperator, "clean_up", written_again)
    from_files(paths, album, shelf).execute(task.context)
    assert list(shelf.rglob("*.*")) == []
