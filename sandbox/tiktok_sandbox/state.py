"""Everything the sandbox knows, in one object that lives as long as its server."""

import asyncio
import itertools
import random
import string
from collections import deque
from collections.abc import Iterator, Mapping
from pathlib import Path

from tiktok_sandbox.clock import Clock
from tiktok_sandbox.faults import FaultRules
from tiktok_sandbox.fields import change
from tiktok_sandbox.records import Account, App, Call, Post, Publish
from tiktok_sandbox.switches import Switches
from tiktok_sandbox.tokens import TokenBook
from tiktok_sandbox.webhooks import WebhookSender

_ID_CHARACTERS = string.ascii_letters + string.digits


class SandboxState:
    """The state behind all routes. Only the server's event loop touches it.

    `storage` is the folder for received media. `seed` makes all ids repeatable. `initial_switches` are the
    values that `reset` goes back to, where they differ from the defaults.
    """

    def __init__(
        self, storage: Path, seed: int = 1, initial_switches: Mapping[str, object] | None = None
    ) -> None:
        self.storage = storage
        self._initial_switches = dict(initial_switches or {})
        self._media_numbers = itertools.count(1)
        self._start(seed)

    def _start(self, seed: int) -> None:
        self.seed = seed
        self.random = random.Random(seed)
        # Of its own, so that the number of calls does not change the ids of things.
        self._log_random = random.Random(seed)
        self.clock = Clock()
        self.switches = Switches()
        change(self.switches, self._initial_switches)
        self.apps: dict[str, App] = {}
        self.accounts: dict[str, Account] = {}
        self.tokens = TokenBook()
        self.uploads: dict[str, Publish] = {}
        self.publishes: dict[str, Publish] = {}
        self.calls_in_window: dict[tuple[str, str], deque[float]] = {}
        self.faults = FaultRules(seed)
        self.requests: list[Call] = []
        self.webhooks = WebhookSender(self.clock)
        self.webhook_order = asyncio.Lock()
        self.sending: set[asyncio.Task[None]] = set()

    async def reset(self, seed: int | None = None) -> None:
        """Forget everything, received media included."""
        pulls = [publish.pull for publish in self.publishes.values() if publish.pull is not None]
        for task in [*pulls, *self.sending]:
            task.cancel()
        checks = [publish.check for publish in self.publishes.values() if publish.check is not None]
        if work := [*pulls, *checks, *self.sending]:
            await asyncio.wait(work)
        for path in self.storage.glob("*.media"):
            path.unlink()
        self._start(self.seed if seed is None else seed)

    def text_id(self, length: int) -> str:
        return "".join(self.random.choices(_ID_CHARACTERS, k=length))

    def number_id(self) -> int:
        """19 digits, beyond what a double can hold, as TikTok's ids are."""
        return _nineteen_digits(self.random)

    def post_id(self, publish: Publish) -> int:
        """The same for the same publish, whatever else happens at the same time."""
        return _nineteen_digits(random.Random(f"{self.seed} {publish.publish_id} {len(publish.posts)}"))

    def log_id(self) -> str:
        return f"{int(self.clock.now())}{self._log_random.getrandbits(80):020X}"

    def new_media_path(self) -> Path:
        return self.storage / f"{next(self._media_numbers)}.media"

    def account(self, open_id: str) -> Account | None:
        """The creator that any app knows under this id."""
        for account in self.accounts.values():
            if open_id == account.open_id or open_id in account.open_ids.values():
                return account
        return None

    def account_named(self, username: str) -> Account | None:
        return next((one for one in self.accounts.values() if one.username == username), None)

    def open_id_for(self, app: App, account: Account) -> str:
        """This app's id of the creator: each app sees another one, the first app sees the account's own."""
        if app.client_key not in account.open_ids:
            account.open_ids[app.client_key] = self.open_id() if account.open_ids else account.open_id
        return account.open_ids[app.client_key]

    def open_id(self) -> str:
        return f"-000{self.text_id(32)}"

    def posts(self) -> Iterator[tuple[Publish, Post]]:
        for publish in self.publishes.values():
            for post in publish.posts:
                yield publish, post

    def media_path(self, publish_id: str, index: int = 0) -> Path | None:
        """Where the received bytes of a publish are: the video, or the photo at `index`. None if absent."""
        publish = self.publishes.get(publish_id)
        if publish is None or not 0 <= index < len(publish.media):
            return None
        return publish.media[index].path

    def feed(self, base_url: str = "") -> list[dict[str, object]]:
        """Every attempt that became a post or a draft, oldest first; a draft posted twice is two rows.

        Links are relative unless `base_url` is given.
        """
        rows = []
        for publish in self.publishes.values():
            if publish.delivered_at is None:
                continue
            drafts_and_posts: list[Post | None] = [*publish.posts] if publish.posts else [None]
            rows += [_feed_row(publish, post, base_url) for post in drafts_and_posts]
        return rows


def _nineteen_digits(dice: random.Random) -> int:
    return 7_000_000_000_000_000_000 + dice.randrange(10**18)


def _feed_row(publish: Publish, post: Post | None, base_url: str) -> dict[str, object]:
    video = publish.kind == "video"
    page = f"{base_url}/@{publish.account.username}"
    return {
        "publish_id": publish.publish_id,
        "post_id": str(post.post_id) if post else None,
        "open_id": publish.open_id,
        "username": publish.account.username,
        "kind": publish.kind,
        "mode": publish.mode,
        "source": publish.source,
        **vars(publish.settings),
        "privacy_level": post.privacy_level if post else publish.settings.privacy_level,
        "size": sum(media.size for media in publish.media),
        "sha256": publish.media[0].sha256 if video else None,
        "photo_sha256s": [] if video else [media.sha256 for media in publish.media],
        "status": publish.status,
        "deleted": post.deleted if post else False,
        "created_at": publish.created_at,
        "posted_at": post.posted_at if post else None,
        "public_at": post.public_at if post else None,
        "media_url": f"{base_url}/sandbox/media/{publish.publish_id}",
        "page_url": f"{page}/{publish.kind}/{post.post_id}" if post else None,
    }
