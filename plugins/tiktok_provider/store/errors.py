"""What can go wrong in the store; the rest of the tree is in ``tiktok_provider.exceptions``.

::

    TikTokError
    ├── AccountDeadError            TikTok no longer takes the refresh token (also an AirflowFailException)
    ├── ConnectionSettingsError
    │   └── AccountNotConnectedError  there is no token set, or none that can be refreshed
    ├── AccountChangedError         the Connection belongs to another TikTok account than the post
    ├── PostTakenError              another try has taken the post over: this one must stop
    ├── PostStateError              the post's record is in a state in which this cannot be done
    ├── UnreachableError
    │   └── StoreUnreachableError   the API server does not answer
    ├── StoreNotReadyError          the tables are missing or of an older version
    └── StoreBusyError              the database is locked or away for a moment
        └── ConflictError           somebody else changed the same row first
"""

from airflow.sdk.exceptions import AirflowFailException

from tiktok_provider.exceptions import Actor, ConnectionSettingsError, Retry, TikTokError, UnreachableError


class AccountDeadError(TikTokError, AirflowFailException):
    """TikTok no longer takes the account's refresh token: a person must connect it again. Retries cannot help."""

    actor = Actor.ACCOUNT_OWNER


class AccountNotConnectedError(ConnectionSettingsError):
    """There is no token set for the Connection, or none that can be refreshed. Nothing was sent."""

    actor = Actor.ACCOUNT_OWNER


class AccountChangedError(TikTokError):
    """The Connection belongs to another TikTok account than the one that the post was begun for. Nothing was done."""

    actor = Actor.ACCOUNT_OWNER


class PostTakenError(TikTokError):
    """Another try has taken the post over, or a person has forgotten it. This try must stop at once: nothing more may
    be sent. A retry joins whoever is at it and returns the same post.
    """

    retry = Retry.BACKOFF


class PostStateError(TikTokError):
    """The post's record is in a state in which this cannot be done. Nothing was changed; the next try reads anew."""

    retry = Retry.BACKOFF


class StoreNotReadyError(TikTokError):
    """The store's tables are missing or of another version than this package."""

    actor = Actor.PLATFORM
    retry = Retry.BACKOFF


class StoreUnreachableError(UnreachableError):
    """The API server does not answer. TikTok has got nothing of what depended on the answer."""


class StoreBusyError(TikTokError):
    """The database is locked or away for a moment. Nothing was changed."""

    actor = Actor.PLATFORM
    retry = Retry.BACKOFF


class ConflictError(StoreBusyError):
    """Somebody else changed or inserted the same row first. Nothing was changed."""


def not_connected(conn_id: str) -> AccountNotConnectedError:
    """Return the error of an account without a token set; it says who connects it, and how."""
    return AccountNotConnectedError(
        f"Connection {conn_id!r} has no token set that can be used. The owner of the TikTok account connects it:"
        f" airflow tiktok connect {conn_id} (or put a token set with a refresh_token into the extra of connection"
        f" {conn_id!r})."
    )


def unknown_account(conn_id: str) -> ConnectionSettingsError:
    """Return the error of an id that is perhaps mistyped."""
    return ConnectionSettingsError(
        f"There is no account {conn_id!r}: the store has no record of it, and no connection of this id is defined"
        " where this process can see it. List the accounts: airflow tiktok accounts"
    )
