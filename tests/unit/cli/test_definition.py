"""What every ``airflow`` call pays for our commands, and where they lead."""

import subprocess
import sys
from importlib import import_module

from airflow.cli.cli_config import GroupCommand

from tiktok_provider.cli.definition import get_tiktok_cli_commands
from tiktok_provider.provider_info import get_provider_info

LOADED = """
import sys
import airflow.cli.cli_config
before = set(sys.modules)
from tiktok_provider.cli.definition import get_tiktok_cli_commands
get_tiktok_cli_commands()
print(*sorted(set(sys.modules) - before))
"""


def test_the_definition_imports_nothing_but_itself() -> None:
    done = subprocess.run([sys.executable, "-c", LOADED], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1].split() == ["tiktok_provider.cli", "tiktok_provider.cli.definition"]


def group() -> GroupCommand:
    [found] = get_tiktok_cli_commands()
    assert isinstance(found, GroupCommand)
    return found


def test_airflow_is_told_and_every_command_leads_somewhere() -> None:
    assert get_provider_info()["cli"] == ["tiktok_provider.cli.definition.get_tiktok_cli_commands"]
    commands = {command.name: command.func.__name__ for command in group().subcommands}
    accounts = ["accounts", "connect", "disconnect", "doctor", "prune", "refresh", "reopen"]
    assert sorted(commands) == sorted([*accounts, "forget", "posts", "resolve"])
    functions = import_module("tiktok_provider.cli.commands")
    assert all(callable(getattr(functions, name)) for name in commands.values())


def test_no_option_takes_a_secret() -> None:
    flags = {flag for command in group().subcommands for arg in command.args for flag in arg.flags}
    assert "--client-key" in flags
    assert [flag for flag in flags if "secret" in flag or "token" in flag or "code" in flag] == []
