"""The post that a person means, from an address or an id that they copied from TikTok."""

import re
from urllib.parse import urlsplit

from tiktok_provider.exceptions import Actor, TikTokError
from tiktok_provider.store.posts import PostRecord

# TikTok's ids have 19 digits, in the first years fewer.
_POST_ID = re.compile(r"\d{16,20}", re.ASCII)
_PAGE = re.compile(rf"/@([^/]+)/(video|photo)/({_POST_ID.pattern})/?", re.ASCII)
_SITE = "https://www.tiktok.com"
_SITES = ("www.tiktok.com", "tiktok.com", "m.tiktok.com")
# As in https://vm.tiktok.com/ZM8abc/ and https://www.tiktok.com/t/ZT8abc/.
_SHORT = re.compile(r"v[mt]\.tiktok\.com/\w+/?|www\.tiktok\.com/t/\w+/?", re.ASCII)


class PostAddressError(TikTokError):
    """It is neither a post id nor the address of a post of this account. Nothing was changed."""

    actor = Actor.ACCOUNT_OWNER


def post_in(copied: str, record: PostRecord) -> tuple[str, str | None]:
    """Return the post id, and the link if it is known.

    :param copied: a post id, or the address of a post's page.
    :param record: of the post, which names the account and where its pages are.
    :raises PostAddressError: it is neither, or the page of another account.
    """
    copied = copied.strip()
    if _POST_ID.fullmatch(copied):
        return copied, f"{record.profile_url}/{record.kind}/{copied}" if record.profile_url else None
    site, page = _page(copied, own_site=urlsplit(record.profile_url)._replace(path="").geturl())
    username, kind, post_id = page.groups()
    if record.username and username.casefold() != record.username.casefold():
        raise PostAddressError(
            f"The address is of a post of @{username}, this post is one of @{record.username}.\n"
            f"If the account has changed its name since, give the post id alone: {post_id}"
        )
    return post_id, f"{site}/@{username}/{kind}/{post_id}"


def _page(copied: str, *, own_site: str) -> tuple[str, re.Match[str]]:
    """Split the address of a post's page into the site and the rest; the query is dropped."""
    try:
        parts = urlsplit(copied if "//" in copied else f"https://{copied}")
    except ValueError:
        raise _no_post(copied) from None
    page = _PAGE.fullmatch(parts.path)
    is_own = f"{parts.scheme}://{parts.netloc}" == own_site
    if page is None or not (is_own or parts.netloc in _SITES):
        raise _no_post(copied, host_and_path=f"{parts.netloc}{parts.path}")
    return own_site if is_own else _SITE, page


def _no_post(copied: str, *, host_and_path: str = "") -> PostAddressError:
    if _SHORT.fullmatch(host_and_path):
        return PostAddressError(
            f"A short link does not hold the post id: {copied!r}\nOpen it and copy the address it leads to."
        )
    return PostAddressError(
        f"That is no post: {copied!r}\n"
        "Give the address of its page, such as https://www.tiktok.com/@mia/video/7301234567890123456, or the 19"
        " digits"
        " of its id alone. With --posted and nothing behind it, it is out and its id unknown."
    )
