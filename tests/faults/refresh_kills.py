"""A refresh that is killed or stopped at a step: one cell of the table, played in real processes."""

import multiprocessing
import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum
from multiprocessing.connection import Connection, Pipe
from multiprocessing.process import BaseProcess
from pathlib import Path

from tests.faults.held_refresh import STILL, Step, refresh_held
from tests.faults.holding_server import HoldingServer, holding_server
from tests.faults.later_callers import TaskTry, fate
from tests.unit.databases import Mia
from tiktok_provider.exceptions import TikTokError

# Imports once what each process needs, so that one starts in a blink.
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["tiktok_provider.database.accounts.service", "tiktok_sandbox.client"])
CHECKOUT = Path(__file__).resolve().parents[2]
PATIENCE = 60
PAST_THE_LEASE = 61


class Blow(StrEnum):
    """What happens to the process."""

    KILLED = "SIGKILL"
    STOPPED = "SIGSTOP for 61 s, no other task comes meanwhile"
    STOPPED_AND_FOLLOWED = "SIGSTOP for 61 s, another task comes meanwhile"


# Where the account is lost: TikTok's answer died with the process ...
_DIED = {(step, Blow.KILLED) for step in (Step.SENT, Step.ANSWERED, Step.WRITTEN)}
# ... or two processes used one refresh token, which this kind of TikTok punishes.
_USED_TWICE = {(step, Blow.STOPPED_AND_FOLLOWED) for step in (Step.SENT, Step.ANSWERED)}


def expected(step: Step, blow: Blow, old_refresh_token: str) -> str:
    """Return what becomes of the account, as documented in docs/evidence/reliability.md."""
    lost = {"lives": set(), "dies": _DIED, "kills_all": _DIED | _USED_TWICE}
    return "reconnect" if (step, blow) in lost[old_refresh_token] else "survives"


@dataclass
class Holder:
    """The process that refreshes; it uses the environment of this one."""

    mia: Mia
    step: Step
    blow: Blow
    server: HoldingServer
    channel: Connection = field(init=False)
    process: BaseProcess = field(init=False)

    def start(self) -> None:
        """Start it, and wait until it is at its step."""
        # The process imports this package, too.
        self.mia.monkeypatch.syspath_prepend(CHECKOUT)
        self.channel, theirs = Pipe()
        self.mia.define(None)
        way = self.server.url if self.step is Step.SENT else self.mia.sandbox.url
        arguments = (self.step, theirs, _environment(), self.mia.sandbox.url, way)
        hurried = {"hurried": self.blow is not Blow.KILLED}
        self.process = PROCESSES.Process(target=refresh_held, args=arguments, kwargs=hurried)
        self.process.start()
        theirs.close()
        if self.step is Step.SENT:
            assert self.server.answered.wait(PATIENCE)
        else:
            assert self.channel.poll(PATIENCE)
            assert self.channel.recv() == self.step.name

    def kill(self) -> None:
        """End it at once."""
        self.process.kill()
        self.process.join(PATIENCE)
        assert self.process.exitcode == -signal.SIGKILL

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        assert self.process.pid
        os.kill(self.process.pid, number)

    def go_on(self) -> None:
        """Let it do the rest."""
        if self.step is Step.SENT:
            self.server.release.set()
            # What comes from TikTok is in its socket before it wakes up.
            time.sleep(STILL)
        else:
            self.channel.send("go on")
        self.send(signal.SIGCONT)

    def end(self) -> None:
        """Wait for its end."""
        self.process.join(PATIENCE)
        assert self.process.exitcode is not None


def play(mia: Mia, step: Step, blow: Blow, old_refresh_token: str) -> str:
    """Return what becomes of the account.

    :param mia: known to the store, with an access token that has expired.
    """
    mia.sandbox.set_switches(old_refresh_token=old_refresh_token)
    with _holder(mia, step, blow) as holder:
        if blow is Blow.KILLED:
            holder.kill()
        else:
            holder.send(signal.SIGSTOP)
            mia.clock.advance(seconds=PAST_THE_LEASE)
            _continue(holder, followed=blow is Blow.STOPPED_AND_FOLLOWED)
        return fate(mia)


@contextmanager
def _holder(mia: Mia, step: Step, blow: Blow) -> Iterator[Holder]:
    with holding_server(mia.sandbox.url) as server:
        holder = Holder(mia, step, blow, server)
        holder.start()
        try:
            yield holder
        finally:
            holder.process.kill()
            holder.process.join(PATIENCE)
            holder.channel.close()


def _continue(holder: Holder, *, followed: bool) -> None:
    with ThreadPoolExecutor(1) as thread:
        # A follower may have to wait for a lock that the stopped process holds in the database.
        follower = [thread.submit(_follow, holder.mia)] if followed else []
        wait(follower, timeout=3)
        holder.go_on()
        holder.end()
        for future in follower:
            future.result()


def _follow(mia: Mia) -> None:
    # How the one try ends does not matter here: Airflow would repeat it.
    with suppress(TikTokError):
        TaskTry(mia).run()


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name.startswith(("AIRFLOW", "_AIRFLOW"))}
