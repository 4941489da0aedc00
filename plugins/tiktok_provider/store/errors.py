"""What can go wrong in the store; the rest of the tree is in ``tiktok_provider.exceptions``.

::

    TikTokError
    ├── AccountDeadError            TikTok no longer takes the refresh token (also an AirflowFailException)
    ├── ConnectionSettingsError
    │   └── AccountNotConnectedError  there are no tokens, or none that can be refreshed
    ├── AccountChangedError         the Connection belongs to another TikTok account than the post
    ├── PostConflictError           under this post key, or with these media, there is another post
    ├── PostTakenError              another try publishes the post by now: this one must stop
    ├── PostStateError              the post's record is in a state in which this cannot be done
    ├── UnreachableError
    │   └── StoreUnreachableError   the API server does not answer
    ├── StoreNotReadyError          the tables are missing or of an older version
    ├── StoreVersionError           worker and API server have versions of the package that do not fit
    └── StoreBusyError              the database is locked or away for a moment
        ├── StoreLockedError        another transaction has locked what this one needs
        └── ConflictError           another process changed the same row first

A sentence that several modules need is a function here.
"""

from airflow.sdk.exceptions import AirflowFailException

from tiktok_provider.exceptions import (
    Actor,
    ConnectionSettingsError,
    ConnectionUnreadableError,
    Retry,
    TikTokError,
    UnreachableError,
)


class AccountDeadError(TikTokError, AirflowFailException):
    """TikTok no longer takes the account's refresh token: a person must connect it again. Retries cannot help."""

    actor = Actor.ACCOUNT_OWNER


class AccountNotConnectedError(ConnectionSettingsError):
    """There are no tokens for the Connection, or none that can be refreshed. Nothing was sent."""

    actor = Actor.ACCOUNT_OWNER


class AccountChangedError(TikTokError):
    """The Connection belongs to another TikTok account than the one that the post was begun for. Nothing was done."""

    actor = Actor.ACCOUNT_OWNER


class PostTakenError(TikTokError):
    """Another try has claimed the post, or a person has deleted its record. This try must stop at once: nothing more
    may be sent. A retry joins the try that publishes and returns the same post.
    """

    retry = Retry.BACKOFF


class PostStateError(TikTokError):
    """The post's record is in a state that does not allow this. Nothing was changed; the next try reads it again."""

    retry = Retry.BACKOFF


class PostConflictError(TikTokError):
    """Another post is on record under the same post key, or the same media are another post of the slot. Nothing was
    sent; a retry finds the same. The message names both posts and the ways out.
    """

    actor = Actor.DAG_AUTHOR


class StoreNotReadyError(TikTokError):
    """The store's tables are missing or of another version than this package."""

    actor = Actor.PLATFORM
    retry = Retry.BACKOFF


class StoreVersionError(TikTokError):
    """Caller and API server have versions of the package that do not fit. Nothing was done; it passes as soon as both
    are of one version.
    """

    actor = Actor.PLATFORM
    retry = Retry.BACKOFF


class StoreUnreachableError(UnreachableError):
    """The API server does not answer. What depended on its answer was not sent to TikTok."""


class StoreBusyError(TikTokError):
    """The database is locked or away for a moment. Nothing was changed."""

    actor = Actor.PLATFORM
    retry = Retry.BACKOFF


class StoreLockedError(StoreBusyError):
    """Another transaction has locked, for too long, what this one needs. Nothing was changed."""


class ConflictError(StoreBusyError):
    """Another process changed or inserted the same row first. Nothing was changed."""


def not_connected(conn_id: str) -> AccountNotConnectedError:
    """Return the error of an account without tokens; it says who connects it, and how."""
    return AccountNotConnectedError(
        f"Connection {conn_id!r} has no tokens that can be used.\n"
        f"The owner of the TikTok account connects it: airflow tiktok connect {conn_id}\n"
        "(or puts tokens, among them a refresh_token, into the connection's extra)."
    )


def connect_again_before(conn_id: str) -> str:
    """Return the advice for an account whose refresh token ends soon."""
    return f"The owner of the TikTok account connects it again before that: airflow tiktok connect {conn_id}"


def unknown_account(conn_id: str) -> ConnectionSettingsError:
    """Return the error of an id that is perhaps mistyped."""
    return ConnectionSettingsError(
        f"There is no account {conn_id!r}.\n"
        "The store has no record of it, and no connection of this id is defined where this process can see it.\n"
        "List the accounts: airflow tiktok accounts"
    )


def connection_not_found(conn_id: str) -> ConnectionUnreadableError:
    """Return the error of a Connection that a worker or a triggerer does not find."""
    return _retried_once(
        f"Connection {conn_id!r} is not defined, or could not be read.\n"
        "Create it under Admin > Connections with type TikTok, or name another one in 'tiktok_conn_id'. If it is"
        " there, this component may have another [core] fernet_key than the one that encrypted it, or no access to"
        " the secrets backend."
    )


def connection_not_seen(conn_id: str) -> ConnectionUnreadableError:
    """Return the error of a Connection that the API server does not find."""
    return _retried_once(
        f"Connection {conn_id!r} is not defined where the API server can see it.\n"
        "That is in the metadata database, in a secrets backend, or in the environment of the API server itself. Or"
        " it"
        " is malformed there, or was encrypted with another [core] fernet_key."
    )


def _retried_once(message: str) -> ConnectionUnreadableError:
    """Return the error of what is mostly a mistyped id, but can be a secrets backend that is away for a moment."""
    error = ConnectionUnreadableError(message)
    error.retry = Retry.ONCE
    return error


def no_record(conn_id: str, post_key: str) -> PostStateError:
    """Return the error of a post of which nothing is on record."""
    return PostStateError(
        f"There is no record of this post: {post_key!r}\n"
        f"of connection {conn_id!r}. List all: airflow tiktok posts"
    )


def tables_missing() -> StoreNotReadyError:
    """Return the error of a metadata database that was not migrated."""
    return StoreNotReadyError(
        "The tables of the TikTok provider are missing, or are of another version.\n"
        "The administrator of Airflow runs: airflow db migrate"
    )
