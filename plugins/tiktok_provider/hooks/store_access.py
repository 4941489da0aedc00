"""Opens the store of an account, wherever this process is.

The only way from a task to the database: it is imported where the process has one, and nowhere else.
"""

from tiktok_provider.store.address import store_is_in_process
from tiktok_provider.store.client import AsyncHttpStore, AsyncStore, HttpStore, Store


def open_store(conn_id: str, client_secret: str = "") -> Store:
    """Return the store of an account: in process in the CLI and in ``dag.test()``, over HTTP elsewhere.

    :param client_secret: the Connection's password, if the caller has read it already.
    """
    if not store_is_in_process():
        return HttpStore(conn_id, client_secret)
    from tiktok_provider.database.in_process import InProcessStore

    return InProcessStore(conn_id, client_secret)


def open_async_store(conn_id: str, client_secret: str = "") -> AsyncStore:
    """Return the store of an account for an event loop; see ``open_store``."""
    if not store_is_in_process():
        return AsyncHttpStore(conn_id, client_secret)
    from tiktok_provider.database.in_process import AsyncInProcessStore

    return AsyncInProcessStore(conn_id, client_secret)
