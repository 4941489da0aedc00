"""One attempt to get a person's consent: the page to go to, and what the redirect must say."""

import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

from tiktok_provider.api.oauth import authorize_url, new_code_verifier
from tiktok_provider.exceptions import Actor, TikTokError
from tiktok_provider.plain_text import one_line
from tiktok_provider.store.connection import Account

# TikTok's codes are shorter.
_LONGEST_ERROR = 40


class ConsentError(TikTokError):
    """The attempt to connect has failed; nothing was stored."""

    actor = Actor.ACCOUNT_OWNER


class ForeignRedirectError(ConsentError):
    """A redirect that does not belong to this attempt."""


@dataclass(frozen=True, slots=True)
class AuthorizationRequest:
    """The state and the verifier that bind a redirect to the person who began.

    :param redirect_uri: with the port in it.
    """

    redirect_uri: str
    state: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)
    verifier: str = field(default_factory=new_code_verifier, repr=False)

    def page(self, account: Account, scopes: Sequence[str], *, switch_account: bool) -> str:
        """Return the address of the consent page."""
        return authorize_url(
            account.client_key,
            self.redirect_uri,
            scopes,
            state=self.state,
            verifier=self.verifier,
            page=account.authorize_url,
            switch_account=switch_account,
        )

    def code_in(self, redirect: str) -> str:
        """Return the code of a redirect.

        :param redirect: the address to which TikTok led the browser.
        :raises ForeignRedirectError: it is not that of this attempt.
        :raises ConsentError: the person or TikTok has refused.
        """
        values = _values_in(redirect)
        state, error = values.get("state", ""), values.get("error")
        # Bytes: compare_digest takes ASCII texts only, and a pasted text may hold any character.
        is_ours = hmac.compare_digest(state.encode(errors="replace"), self.state.encode())
        # TikTok does not promise the state beside an error; a forged one ends nothing but this attempt.
        if not values.keys() & {"state", "error"}:
            raise ForeignRedirectError(
                "This is not the whole address: it holds no state.\n"
                "Begin again, and copy all that the browser's address bar shows, from http to the end."
            )
        if not is_ours and (state or not error):
            raise ForeignRedirectError(
                "This is not the answer to this attempt: its state differs.\n"
                "Open the address above, and no older one."
            )
        if error:
            raise ConsentError(_refusal(error, values.get("error_description", "")))
        if not values.get("code"):
            raise ConsentError("TikTok's answer has no code. Begin again.")
        return values["code"]


def _values_in(address: str) -> dict[str, str]:
    """Return the values of an address's query; none if it is no address at all, as pasted text need not be."""
    try:
        query = urlsplit(address.strip()).query
    except ValueError:
        return {}
    return {name: found[0] for name, found in parse_qs(query).items()}


def _refusal(error: str, description: str) -> str:
    """Return the sentence for a refusal. A forged redirect may hold any words, so none may steer the terminal."""
    error, description = one_line(error)[:_LONGEST_ERROR], one_line(description)
    said = f'TikTok says: "{description}".\n' if description else ""
    if error == "access_denied":
        return f"The consent was refused. Nothing was stored.\n{said}".rstrip()
    return (
        f"TikTok refuses the consent ({error}). Nothing was stored.\n{said}Check the app in TikTok's portal."
    )
