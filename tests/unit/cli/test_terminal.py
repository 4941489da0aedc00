"""Nothing that a command prints steers the terminal, whoever said it."""

import asyncio

import pytest
from sqlalchemy import update

from tests.unit.cli.conftest import Terminal
from tests.unit.conftest import CONN_ID, Creator
from tiktok_provider.cli.terminal import report
from tiktok_provider.database.accounts.service import AccountService
from tiktok_provider.database.session import transaction
from tiktok_provider.database.tables import AccountRecord

STEERS = "\x1b]0;owned\x07\x1b[2J\n\x9b31m"


@pytest.fixture
def steered(creator: Creator) -> Creator:
    """An account of which the store has recorded words that steer a terminal, before they were filtered."""
    asyncio.run(AccountService().look(CONN_ID))
    with transaction() as session:
        session.execute(update(AccountRecord).values(username=f"mia{STEERS}", last_error=f"no{STEERS}"))
    return creator


@pytest.mark.usefixtures("steered")
@pytest.mark.parametrize("output", ["table", "plain", "json", "yaml"])
def test_no_command_prints_what_steers_the_terminal(terminal: Terminal, output: str) -> None:
    printed = terminal.run("accounts", output=output).out
    assert "mia" in printed
    assert not set(printed) & set("\x1b\x07\x9b")


@pytest.mark.usefixtures("steered")
def test_plain_output_has_one_line_for_each_row(terminal: Terminal) -> None:
    assert len(terminal.run("accounts", output="plain").out.strip().splitlines()) == 2


def test_tiktoks_refusal_is_printed_without_what_steers_the_terminal(
    creator: Creator, terminal: Terminal
) -> None:
    body = {"error": "server_error", "error_description": f"no{STEERS}", "log_id": STEERS}
    creator.sandbox.add_fault("status", path="/v2/oauth/token/", status=500, body=body)
    done = terminal.run("refresh", CONN_ID)
    assert done.code == 1
    assert "server_error" in done.said
    assert not set(done.said) & set("\x1b\x07\x9b")


def test_what_a_command_reports_does_not_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    report(f"The account's name is not known yet: {STEERS}")
    assert not set(capsys.readouterr().err) & set("\x1b\x07\x9b")
