"""A Connection that another Fernet key has encrypted: it is named, and stands in the way of no other account."""

from collections.abc import Iterator

import pytest
from airflow.models import Connection
from airflow.models.crypto import get_fernet
from cryptography.fernet import Fernet
from sqlalchemy import text

from tests.unit.cli.conftest import Person, Terminal, stored
from tests.unit.conftest import CONN_ID, Creator
from tiktok_provider.database.session import transaction


def encrypt_anew(conn_id: str, column: str, value: str) -> None:
    """Encrypt a field of a Connection as an installation with another key would."""
    encrypted = Fernet(Fernet.generate_key()).encrypt(value.encode()).decode()
    with transaction() as session:
        session.execute(
            text(f"UPDATE connection SET {column} = :value WHERE conn_id = :conn_id"),
            {"value": encrypted, "conn_id": conn_id},
        )


@pytest.fixture
def sealed(terminal: Terminal) -> str:  # noqa: ARG001  (it empties the store afterwards)
    """The id of a TikTok Connection whose secret cannot be decrypted."""
    with transaction() as session:
        session.add(Connection("sealed", "tiktok", login="key", password="fake-secret"))
    encrypt_anew("sealed", "password", "fake-secret")
    return "sealed"


@pytest.fixture(params=["no-key", ""], ids=["no key at all", "none"])
def lost_key(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The whole process has lost its Fernet key."""
    with monkeypatch.context() as patch:
        patch.setenv("AIRFLOW__CORE__FERNET_KEY", request.param)
        get_fernet.cache_clear()
        yield
    get_fernet.cache_clear()


def test_it_is_listed_among_the_accounts(creator: Creator, terminal: Terminal, sealed: str) -> None:
    terminal.run("refresh", CONN_ID)
    listed = terminal.run("accounts").rows
    assert [(row["conn_id"], row["state"]) for row in listed] == [(sealed, "unknown"), (CONN_ID, "ok")]
    assert creator.open_id


def test_other_accounts_are_connected_beside_it(
    terminal: Terminal,
    person: Person,
    new: list[str],
    sealed: str,  # noqa: ARG001
) -> None:
    assert terminal.run(*new).code == 0
    assert len(person.pages) == 1


def test_it_is_not_connected_itself_and_nobody_is_sent_to_tiktok(
    terminal: Terminal, person: Person, new: list[str], sealed: str
) -> None:
    done = terminal.run("connect", sealed, *new[2:])
    assert (done.code, "fernet_key" in done.said) == (1, True)
    assert person.pages == []


def test_the_doctor_names_it(
    creator: Creator,
    terminal: Terminal,
    sealed: str,
    api_server: str,  # noqa: ARG001
    triggerer: None,  # noqa: ARG001
) -> None:
    terminal.run("refresh", CONN_ID)
    done = terminal.run("doctor")
    found = {(row["check"], row["conn_id"]): row for row in done.rows}
    assert (done.code, found["connection", sealed]["result"]) == (1, "wrong")
    key = found["Fernet key", ""]
    assert (key["result"], sealed in key["detail"], CONN_ID in key["detail"]) == ("warning", True, False)
    assert {row["result"] for row in done.rows if row["conn_id"] == CONN_ID} == {"ok"}
    assert creator.open_id


def test_the_doctor_names_a_token_set_of_the_store_that_it_cannot_read(
    creator: Creator, terminal: Terminal
) -> None:
    terminal.run("refresh", CONN_ID)
    encrypt_anew(f"{CONN_ID}.tokens", "extra", "{}")
    [key] = [row for row in terminal.run("doctor").rows if row["check"] == "Fernet key"]
    assert f"{CONN_ID}.tokens" in key["detail"]
    assert creator.open_id


@pytest.mark.usefixtures("sealed", "lost_key")
def test_the_doctor_and_the_list_work_without_the_key_too(terminal: Terminal) -> None:
    assert [row["conn_id"] for row in terminal.run("accounts").rows] == ["sealed"]
    [key] = [row for row in terminal.run("doctor").rows if row["check"] == "Fernet key"]
    assert "set " in key["detail"].lower()


def test_somebody_elses_connection_under_the_id_of_the_tokens_is_named(
    creator: Creator, terminal: Terminal
) -> None:
    with transaction() as session:
        session.add(Connection(f"{CONN_ID}.tokens", "http", password="fake-secret"))
    encrypt_anew(f"{CONN_ID}.tokens", "password", "fake-secret")
    done = terminal.run("refresh", CONN_ID)
    assert (done.code, "made or changed by a person" in done.said) == (1, True)
    assert creator.calls() == []


def test_a_connection_that_can_be_read_is_not_named(creator: Creator, terminal: Terminal) -> None:
    terminal.run("refresh", CONN_ID)
    assert stored(f"{CONN_ID}.tokens") is not None
    key = next(row for row in terminal.run("doctor").rows if row["check"] == "Fernet key")
    assert (key["result"], key["detail"]) == ("ok", "Connections are encrypted.")
    assert creator.open_id
