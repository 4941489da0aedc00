"""What the black-box tests of the sandbox share: creators, media and a few assertions, all over HTTP."""

import hashlib
import pathlib
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Any, cast

import httpx
import pytest

from tests.sandbox.media_origin import MediaOrigin, running_origin, write_certificate
from tiktok_sandbox.client import Sandbox
from tiktok_sandbox.clips import make_clip

CREATOR_INFO = "/v2/post/publish/creator_info/query/"
VIDEO_INIT = "/v2/post/publish/video/init/"
INBOX_INIT = "/v2/post/publish/inbox/video/init/"
PHOTO_INIT = "/v2/post/publish/content/init/"
STATUS = "/v2/post/publish/status/fetch/"
CANCEL = "/v2/post/publish/cancel/"
USER_INFO = "/v2/user/info/"
VIDEO_LIST = "/v2/video/list/"
VIDEO_QUERY = "/v2/video/query/"
TOKEN = "/v2/oauth/token/"
REVOKE = "/v2/oauth/revoke/"

CHUNK = 5_242_880
FINAL = ("SEND_TO_USER_INBOX", "PUBLISH_COMPLETE", "FAILED")
# Owned by the apps of these tests, and nobody listens there.
NOWHERE = "https://localhost:1"

Json = dict[str, Any]

# One client without credentials for all tests: to make one takes longer than most calls.
BARE = httpx.Client(verify=False, timeout=30)


@dataclass(frozen=True)
class Media:
    """A file that is to be uploaded."""

    data: bytes

    @property
    def size(self) -> int:
        return len(self.data)

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.data).hexdigest()

    def chunks(self, chunk_size: int) -> list[tuple[int, bytes]]:
        """(first byte, bytes) of each chunk; the last one takes the remainder."""
        count = self.size // chunk_size
        starts = [number * chunk_size for number in range(count)]
        return [(start, self.data[start:end]) for start, end in zip(starts, [*starts[1:], None], strict=True)]

    def source(self, chunk_size: int | None = None) -> Json:
        return file_source(self.size, chunk_size)


def file_source(size: int, chunk_size: int | None = None, count: int | None = None) -> Json:
    """`source_info` of a FILE_UPLOAD; by default one chunk, else as many as the fact sheet's formula says."""
    chunk = size if chunk_size is None else chunk_size
    chunks = size // chunk if count is None else count
    return {
        "source": "FILE_UPLOAD",
        "video_size": size,
        "chunk_size": chunk,
        "total_chunk_count": chunks,
    }


def pull_source(url: str = f"{NOWHERE}/a.mp4") -> Json:
    return {"source": "PULL_FROM_URL", "video_url": url}


def assert_error(
    response: httpx.Response, status: int, code: str | Collection[str], message: str = ""
) -> None:
    """The answer is TikTok's envelope with this HTTP status, (one of) these codes and this in its message."""
    codes = [code] if isinstance(code, str) else code
    assert response.status_code == status, response.text
    error = response.json()["error"]
    assert error["code"] in codes, response.text
    assert message in error["message"]
    assert error["log_id"]


def data_of(response: httpx.Response) -> Json:
    """The `data` of an answer that must be a success."""
    assert response.status_code == 200, response.text
    assert response.json()["error"]["code"] == "ok", response.text
    return cast(Json, response.json()["data"])


def assert_lives(sandbox: Sandbox, url: str, seconds: int) -> None:
    """The address of this picture is good for so long from now on, rounded up to a whole second."""
    for advance, status in ((0, 200), (seconds - 1, 200), (2, 403)):
        sandbox.advance(advance)
        response = BARE.get(url)
        assert (advance, response.status_code) == (advance, status)
        assert response.content.startswith(b"\xff\xd8") == (status == 200)


def control(sandbox: Sandbox, method: str, path: str, body: object = None) -> Any:
    """One call of the control API; returns its JSON."""
    response = BARE.request(method, sandbox.url + path, json=body)
    assert response.is_success, response.text
    return response.json() if response.content else None


@dataclass(frozen=True)
class Creator:
    """An account that authorised an app, and a client that sends its access token."""

    sandbox: Sandbox
    client_key: str
    client_secret: str
    open_id: str
    username: str
    access_token: str
    refresh_token: str
    http: httpx.Client

    def post_json(self, path: str, body: object = None, **headers: str) -> httpx.Response:
        return self.http.post(path, json={} if body is None else body, headers=headers)

    def init_video(self, source: Json, **post_info: object) -> httpx.Response:
        post = {"privacy_level": "PUBLIC_TO_EVERYONE", "title": "a clip", **post_info}
        kept = {name: value for name, value in post.items() if value is not ...}
        return self.post_json(VIDEO_INIT, {"post_info": kept, "source_info": source})

    def init_inbox(self, source: Json) -> httpx.Response:
        return self.post_json(INBOX_INIT, {"source_info": source})

    def init_photos(self, urls: object, mode: str = "DIRECT_POST", **post_info: object) -> httpx.Response:
        levels = {"privacy_level": "PUBLIC_TO_EVERYONE"} if mode == "DIRECT_POST" else {}
        post = {**levels, "title": "pictures", **post_info}
        images = {"source": "PULL_FROM_URL", "photo_images": urls, "photo_cover_index": 0}
        body = {"media_type": "PHOTO", "post_mode": mode, "post_info": post, "source_info": images}
        return self.post_json(PHOTO_INIT, body)

    def status(self, publish_id: str) -> httpx.Response:
        return self.post_json(STATUS, {"publish_id": publish_id})

    def cancel(self, publish_id: str) -> httpx.Response:
        return self.post_json(CANCEL, {"publish_id": publish_id})

    def put(self, url: str, data: bytes, first: int, total: int, **changes: str | None) -> httpx.Response:
        """PUT one chunk as the fact sheet asks; `changes` replace a header (`None`: leave it out)."""
        usual: dict[str, str | None] = {
            "Content-Type": "video/mp4",
            "Content-Range": f"bytes {first}-{first + len(data) - 1}/{total}",
        }
        headers = {**usual, **{name.replace("_", "-"): value for name, value in changes.items()}}
        sent = {name: value for name, value in headers.items() if value is not None}
        return BARE.put(url, content=data, headers=sent)

    def upload(self, url: str, media: Media, chunk_size: int | None = None) -> None:
        """Upload the whole file in order."""
        answers = [
            self.put(url, part, first, media.size) for first, part in media.chunks(chunk_size or media.size)
        ]
        assert [answer.status_code for answer in answers] == [*[206] * (len(answers) - 1), 201]

    def send_video(self, media: Media, **post_info: object) -> str:
        """Init a direct post and upload the file; returns the publish id."""
        made = data_of(self.init_video(media.source(), **post_info))
        self.upload(made["upload_url"], media)
        return str(made["publish_id"])

    def send_draft(self, media: Media) -> str:
        made = data_of(self.init_inbox(media.source()))
        self.upload(made["upload_url"], media)
        return str(made["publish_id"])

    def wait_for(self, publish_id: str, *statuses: str, until: Callable[[Json], bool] | None = None) -> Json:
        """Let the sandbox's clock run until the status is one of these (default: any final one)."""
        wanted = statuses or FINAL
        seen: Json = {}
        for _ in range(200):
            seen = data_of(self.status(publish_id))
            if seen["status"] in wanted and (until is None or until(seen)):
                return seen
            self.sandbox.advance(3)
            time.sleep(0.01)
        raise AssertionError(f"status stayed {seen}")

    def wait_for_post(self, publish_id: str) -> int:
        """Wait until the post is public; returns its id as TikTok's route gives it."""
        done = self.wait_for(
            publish_id, "PUBLISH_COMPLETE", until=lambda data: bool(data.get("publicaly_available_post_id"))
        )
        return cast(int, done["publicaly_available_post_id"][-1])

    def publish(self, media: Media, **post_info: object) -> str:
        """Post a video and wait until TikTok calls it complete; returns the publish id."""
        publish_id = self.send_video(media, **post_info)
        assert self.wait_for(publish_id)["status"] == "PUBLISH_COMPLETE"
        return publish_id

    def feed_entry(self, publish_id: str) -> Json:
        (entry,) = [post for post in self.sandbox.feed() if post["publish_id"] == publish_id]
        return entry

    def record(self, publish_id: str) -> Json:
        """What the control API knows about this publish id."""
        publishes = control(self.sandbox, "GET", "/sandbox/publishes")
        (entry,) = [publish for publish in publishes if publish["publish_id"] == publish_id]
        return cast(Json, entry)


class MakeCreator:
    """Creates creators. `app` takes the app of another creator; the other fields go to the control API."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._clients: list[httpx.Client] = []

    def __call__(
        self,
        app_of: Creator | None = None,
        account_of: Creator | None = None,
        app: Json | None = None,
        account: Json | None = None,
        **token_fields: object,
    ) -> Creator:
        client_key, client_secret = self._app(app_of, app or {})
        open_id, username = self._account(account_of, account or {})
        body = {"client_key": client_key, **token_fields}
        tokens = control(self._sandbox, "POST", f"/sandbox/accounts/{open_id}/tokens", body)
        http = self.client(tokens["access_token"])
        return Creator(
            sandbox=self._sandbox,
            client_key=client_key,
            client_secret=client_secret,
            open_id=tokens["open_id"],
            username=username,
            access_token=tokens["access_token"],
            refresh_token=tokens["refresh_token"],
            http=http,
        )

    def _app(self, creator: Creator | None, fields: Json) -> tuple[str, str]:
        if creator:
            return creator.client_key, creator.client_secret
        app = self._sandbox.create_app(**{"url_prefixes": ["localhost"], **fields})
        return app.client_key, app.client_secret

    def _account(self, creator: Creator | None, fields: Json) -> tuple[str, str]:
        if creator:
            return creator.open_id, creator.username
        account = self._sandbox.create_account(**fields)
        return account.open_id, account.username

    def client(self, token: str) -> httpx.Client:
        self._clients.append(
            httpx.Client(
                base_url=self._sandbox.url,
                headers={"Authorization": f"Bearer {token}"},
                verify=False,
                timeout=30,
            )
        )
        return self._clients[-1]

    def close(self) -> None:
        for client in self._clients:
            client.close()


@pytest.fixture(scope="session", autouse=True)
def closed_client() -> Iterator[None]:
    """Close the client of all tests after the last one."""
    yield
    BARE.close()


@pytest.fixture(scope="session", autouse=True)
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[pathlib.Path]:
    """A certificate for localhost that every TLS client of this process trusts."""
    path = tmp_path_factory.mktemp("tls") / "localhost.pem"
    write_certificate(path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(path))
        yield path


@pytest.fixture(scope="session")
def media_server(certificate: pathlib.Path) -> Iterator[MediaOrigin]:
    with running_origin(certificate) as served:
        yield served


@pytest.fixture
def origin(media_server: MediaOrigin) -> MediaOrigin:
    """An empty media server, whose host the apps of these tests own."""
    media_server.answers.clear()
    media_server.seen.clear()
    return media_server


@pytest.fixture
def sandbox(tiktok_sandbox: Sandbox) -> Sandbox:
    """A fresh sandbox whose clock stands still."""
    tiktok_sandbox.freeze()
    return tiktok_sandbox


@pytest.fixture
def make_creator(sandbox: Sandbox) -> Iterator[MakeCreator]:
    factory = MakeCreator(sandbox)
    yield factory
    factory.close()


@pytest.fixture
def creator(make_creator: MakeCreator) -> Creator:
    """A public account with all scopes on an audited app."""
    return make_creator()


@pytest.fixture(scope="session")
def media_folder(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    return tmp_path_factory.mktemp("media")


@pytest.fixture(scope="session")
def clip(media_folder: pathlib.Path) -> Media:
    """A valid clip of some kilobytes."""
    path = make_clip(media_folder / "clip.mp4", seconds=0.5, width=360, height=360, fps=24)
    return Media(path.read_bytes())


@pytest.fixture(scope="session")
def two_chunks(media_folder: pathlib.Path) -> Media:
    """A valid clip for two chunks of `CHUNK` bytes, the last of them 123 bytes longer."""
    path = make_clip(
        media_folder / "two.mp4", seconds=0.5, width=360, height=360, fps=24, pad_to_bytes=2 * CHUNK + 123
    )
    return Media(path.read_bytes())
