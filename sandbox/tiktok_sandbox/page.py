"""The sandbox's pages for people: every post with its media, and the pages that TikTok's own links lead to."""

import datetime
import pathlib
from html import escape
from typing import Any, Protocol
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.routing import BaseRoute, Route

Row = dict[str, Any]

# Captions come from anywhere: should one ever slip through the escaping, it still can run and load nothing.
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src 'self'; media-src 'self'",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}
_AUDIENCES = {
    "PUBLIC_TO_EVERYONE": "everyone can see it",
    "MUTUAL_FOLLOW_FRIENDS": "friends can see it",
    "FOLLOWER_OF_CREATOR": "followers can see it",
    "SELF_ONLY": "only the creator can see it",
}
_STATUSES = {"PUBLISH_COMPLETE": "posted", "SEND_TO_USER_INBOX": "waits in the creator's inbox"}
_LABELS = {
    "brand_content_toggle": "Paid partnership",
    "brand_organic_toggle": "Promotional content",
    "is_aigc": "AI-generated",
    "auto_add_music": "music added",
    "disable_comment": "comments off",
    "disable_duet": "duet off",
    "disable_stitch": "stitch off",
    "deleted": "deleted by the creator",
}
_STYLE = """
:root { color-scheme: light dark; --page: #f3f4f6; --card: #fff; --ink: #15171c; --soft: #626875; --line: #e2e5ea;
  --accent: #d81b4a; --good: #0b7a4b; --wait: #97600a; --quiet: #5a4fb0; }
@media (prefers-color-scheme: dark) { :root { --page: #0e0f12; --card: #191b20; --ink: #f0f1f4; --soft: #9aa1ad;
  --line: #2b2f37; --accent: #ff5c83; --good: #41cf92; --wait: #eab258; --quiet: #a99ff5; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
a { color: inherit; } a:hover { color: var(--accent); }
header, main { max-width: 76rem; margin: auto; padding: 1rem 1.25rem; }
header { display: flex; flex-wrap: wrap; align-items: baseline; gap: .25rem 1rem; padding-top: 1.5rem; }
h1 { margin: 0; font-size: 1.5rem; letter-spacing: -.02em; } h1 a { text-decoration: none; }
header p { margin: 0; color: var(--soft); }
nav { flex-basis: 100%; display: flex; flex-wrap: wrap; gap: .5rem; margin-top: .5rem; }
nav a { padding: .15rem .75rem; border: 1px solid var(--line); border-radius: 1rem; background: var(--card);
  text-decoration: none; font-size: .9rem; }
nav a[aria-current] { border-color: var(--accent); color: var(--accent); }
.posts { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(20rem, 100%), 1fr)); gap: 1.25rem; }
article { display: flex; flex-direction: column; overflow: hidden; background: var(--card);
  border: 1px solid var(--line); border-radius: .9rem; }
.media { background: #000; height: 26rem; }
video { display: block; width: 100%; height: 100%; object-fit: contain; }
.strip { display: flex; overflow-x: auto; scroll-snap-type: x mandatory; gap: 2px; }
.strip a { flex: 0 0 88%; scroll-snap-align: center; } .strip a:only-child { flex-basis: 100%; }
.strip img { display: block; width: 100%; height: 100%; object-fit: contain; }
.text { padding: 1rem 1.1rem 1.1rem; display: flex; flex-direction: column; gap: .6rem; flex: 1; }
.who { display: flex; justify-content: space-between; gap: .5rem; font-size: .9rem; color: var(--soft); }
.who a { color: var(--ink); font-weight: 600; text-decoration: none; overflow-wrap: anywhere; }
.who time { white-space: nowrap; }
.caption { margin: 0; white-space: pre-wrap; overflow-wrap: anywhere; max-height: 15rem; overflow-y: auto; }
.caption.title { font-weight: 600; } .caption.none { color: var(--soft); font-style: italic; }
.badges { display: flex; flex-wrap: wrap; gap: .35rem; margin: 0; padding: 0; list-style: none; }
.badges li { padding: 0 .5rem; border: 1px solid currentColor; border-radius: .4rem; font-size: .75rem;
  line-height: 1.6; color: var(--soft); }
.badges .PUBLISH_COMPLETE, .badges .PUBLIC_TO_EVERYONE { color: var(--good); }
.badges .SEND_TO_USER_INBOX { color: var(--wait); }
.badges .SELF_ONLY, .badges .MUTUAL_FOLLOW_FRIENDS, .badges .FOLLOWER_OF_CREATOR { color: var(--quiet); }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .15rem .8rem; margin: auto 0 0; padding-top: .7rem;
  border-top: 1px solid var(--line); font-size: .8rem; }
dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; }
code { font: .95em ui-monospace, monospace; } summary { cursor: pointer; }
.empty { max-width: 44rem; margin: 2rem auto; padding: 1.5rem 2rem; background: var(--card);
  border: 1px solid var(--line); border-radius: .9rem; }
.empty h2 { margin-top: 0; } .empty li { margin-bottom: .5rem; } .empty code { overflow-wrap: anywhere; }
@media (min-width: 48rem) {
  .single article { flex-direction: row; } .single .media { flex: 0 0 24rem; height: min(42rem, 80vh); }
  .single .text { padding: 1.75rem; min-width: 0; } .single .caption { font-size: 1.15rem; }
  .single dl { margin-top: .5rem; }
}
"""


class Posts(Protocol):
    """What the pages need of the sandbox's state."""

    def feed(self) -> list[Row]:
        """All posts and drafts, oldest first, with the fields that the README names."""

    def media_path(self, publish_id: str, index: int = 0) -> pathlib.Path | None:
        """The received file, for photos the one at `index`."""


def page_routes(state: Posts) -> list[BaseRoute]:
    """The routes of the feed, of the creators' and posts' pages, and of the media in them."""
    pages = _Pages(state)
    return [
        Route("/", pages.everything),
        Route("/@{username}", pages.creator),
        Route("/@{username}/{kind}/{post_id}", pages.post),
        Route("/sandbox/media/{publish_id}", pages.media),
    ]


class _Pages:
    def __init__(self, state: Posts) -> None:
        self._state = state

    async def everything(self, request: Request) -> Response:
        posts = self._state.feed()
        note = f"{_count(posts)} on this machine. Nothing of this is on TikTok."
        return _page("Feed", note, _navigation(posts), _grid(posts) or _first_steps(request))

    async def creator(self, request: Request) -> Response:
        username = request.path_params["username"]
        posts = self._state.feed()
        own = [post for post in posts if post["username"] == username]
        if not own:
            return _missing(f"@{username} has not posted anything in this sandbox.")
        return _page(
            f"@{username}", f"{_count(own)} by @{username}.", _navigation(posts, username), _grid(own)
        )

    async def post(self, request: Request) -> Response:
        wanted = request.path_params
        posts = self._state.feed()
        for post in posts:
            if not post["deleted"] and all(str(post[name]) == wanted[name] for name in wanted):
                title = f"{post['kind'].capitalize()} {post['post_id']}"
                navigation = _navigation(posts, post["username"])
                return _page(title, f"{title} by @{post['username']}.", navigation, _single(post))
        return _missing(
            f"There is no {wanted['kind']} {wanted['post_id']} of @{wanted['username']} in this sandbox."
        )

    async def media(self, request: Request) -> Response:
        index = request.query_params.get("index", "0")
        if not index.isdecimal():
            return _missing("The index of a photo is a number, counted from 0.")
        path = self._state.media_path(request.path_params["publish_id"], int(index))
        if path is None:
            return _missing("This sandbox has no such media.")
        return FileResponse(path, media_type=_media_type(path), headers=_HEADERS)


def _media_type(path: pathlib.Path) -> str:
    """By content, because the names of received files say nothing. Browsers play MOV if it is called MP4."""
    with path.open("rb") as file:
        head = file.read(12)
    if head.startswith(b"\xff\xd8"):
        return "image/jpeg"
    if head.startswith(b"RIFF") and head.endswith(b"WEBP"):
        return "image/webp"
    return "video/webm" if head.startswith(b"\x1a\x45\xdf\xa3") else "video/mp4"


def _page(title: str, note: str, navigation: str, content: str, status: int = 200) -> Response:
    body = f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)} · TikTok sandbox</title><link rel="icon" href="data:,"><style>{_STYLE}</style></head>
<body><header><h1><a href="/">TikTok sandbox</a></h1><p>{escape(note)}</p>{navigation}</header>
<main>{content}</main></body></html>"""
    return HTMLResponse(body, status, headers=_HEADERS)


def _single(post: Row) -> str:
    return f'<div class="single">{_card(post)}</div>'


def _missing(reason: str) -> Response:
    text = (
        f'<div class="empty"><h2>Not here</h2><p>{escape(reason)}</p><p><a href="/">All posts</a></p></div>'
    )
    return _page("Not here", "", "", text, status=404)


def _first_steps(request: Request) -> str:
    url = f"<code>{escape(str(request.base_url).rstrip('/'))}</code>"
    return f"""<div class="empty"><h2>Nothing has been posted yet</h2><ol>
<li>Point your TikTok client at {url} instead of <code>https://open.tiktokapis.com</code>.</li>
<li>Give it an app and a creator: <code>python -m tiktok_sandbox --demo</code> prints a ready set when it starts;
<code>POST /sandbox/apps</code>, <code>/sandbox/accounts</code> and <code>/sandbox/accounts/{{open_id}}/tokens</code>
make more.</li>
<li>Publish something, then reload this page: it shows each post with the bytes that arrived.</li>
</ol></div>"""


def _count(posts: list[Row]) -> str:
    drafts = sum(post["status"] == "SEND_TO_USER_INBOX" for post in posts)
    counts = [(len(posts) - drafts, "post"), (drafts, "draft")]
    return " and ".join(f"{n} {word}{'' if n == 1 else 's'}" for n, word in counts if n or word == "post")


def _navigation(posts: list[Row], current: str | None = None) -> str:
    names = sorted({str(post["username"]) for post in posts})
    if not names:
        return ""
    everyone = _choice("/", "Everyone", current is None)
    return f"<nav>{everyone}{''.join(_choice(_creator_path(n), f'@{n}', n == current) for n in names)}</nav>"


def _choice(path: str, text: str, current: bool) -> str:
    return f'<a href="{escape(path)}"{" aria-current=page" if current else ""}>{escape(text)}</a>'


def _creator_path(username: str) -> str:
    return f"/@{quote(username, safe='')}"


def _grid(posts: list[Row]) -> str:
    return (
        f'<div class="posts">{"".join(_card(post) for post in sorted(posts, key=_when, reverse=True))}</div>'
        if posts
        else ""
    )


def _when(post: Row) -> float:
    return float(post["posted_at"] or post["created_at"])


def _card(post: Row) -> str:
    name = str(post["username"])
    return f"""<article>{_media(post)}<div class="text">
<div class="who"><a href="{escape(_creator_path(name))}">@{escape(name)}</a>{_time(_when(post))}</div>
{_caption(post)}<ul class="badges">{_badges(post)}</ul><dl>{_facts(post)}</dl></div></article>"""


def _media_url(post: Row, index: int = 0) -> str:
    return escape(f"/sandbox/media/{quote(str(post['publish_id']), safe='~')}") + (
        f"?index={index}" if index else ""
    )


def _media(post: Row) -> str:
    if post["kind"] == "video":
        # The fragment makes browsers show the first frame before anybody presses play.
        player = f'<video controls playsinline preload="metadata" src="{_media_url(post)}#t=0.01"></video>'
        return f'<div class="media">{player}</div>'
    urls = [_media_url(post, index) for index in range(len(post["photo_sha256s"]))]
    photos = (
        f'<a href="{url}"><img loading="lazy" src="{url}" alt="photo {number} of {len(urls)}"></a>'
        for number, url in enumerate(urls, start=1)
    )
    return f'<div class="media strip">{"".join(photos)}</div>'


def _caption(post: Row) -> str:
    heading = "title" if post["kind"] == "photo" else ""
    parts = ((heading, post["title"]), ("", post["description"]))
    words = [f'<p class="caption {kind}">{escape(str(text))}</p>' for kind, text in parts if text]
    return "".join(words) or '<p class="caption none">no caption</p>'


def _badges(post: Row) -> str:
    badges = [_badge(post["status"], _STATUSES)]
    if post["privacy_level"]:
        badges.append(_badge(post["privacy_level"], _AUDIENCES))
    badges += [f"<li>{label}</li>" for flag, label in _LABELS.items() if post.get(flag)]
    return "".join(badges)


def _badge(value: str, meanings: dict[str, str]) -> str:
    return f'<li class="{escape(value)}" title="{escape(meanings.get(value, ""))}">{escape(value)}</li>'


def _facts(post: Row) -> str:
    facts = [
        ("Publish id", _code(post["publish_id"])),
        ("Post id", _post_link(post)),
        ("Sent as", escape(f"{post['kind']}, {post['mode']}, {post['source']}")),
        ("Size", _size(post)),
        ("SHA-256", _digests(post)),
        ("Created", _time(post["created_at"])),
        ("Posted", _time(post["posted_at"])),
        ("Public", _time(post["public_at"])),
    ]
    return "".join(f"<dt>{name}</dt><dd>{value}</dd>" for name, value in facts)


def _digests(post: Row) -> str:
    digests = [post["sha256"]] if post["kind"] == "video" else post["photo_sha256s"]
    codes = "<br>".join(_code(digest) for digest in digests)
    return (
        codes if len(digests) == 1 else f"<details><summary>{len(digests)} photos</summary>{codes}</details>"
    )


def _code(value: object) -> str:
    return f"<code>{escape(str(value))}</code>"


def _post_link(post: Row) -> str:
    if post["post_id"] is None:
        return "none yet"
    if post["deleted"]:
        return _code(post["post_id"])
    path = f"{_creator_path(str(post['username']))}/{post['kind']}/{post['post_id']}"
    return f'<a href="{escape(path)}">{_code(post["post_id"])}</a>'


def _size(post: Row) -> str:
    link = f' · <a href="{_media_url(post)}">open</a>' if post["kind"] == "video" else ""
    return f"{int(post['size']):,} bytes{link}"


def _time(seconds: float | None) -> str:
    if seconds is None:
        return "–"
    moment = datetime.datetime.fromtimestamp(seconds, datetime.UTC)
    return f'<time datetime="{moment.isoformat()}">{moment:%Y-%m-%d %H:%M:%S} UTC</time>'
