"""The circuit breaker: while a host is down, one probe now and then asks it, and no other call."""

from dataclasses import dataclass, field

# Failures in a row, of all accounts together; and of how many accounts, where more than one calls: what fails for one
# alone is no fault of the host.
TRIPS_AFTER = 5
TRIPS_FOR = 2
FIRST_PAUSE, LONGEST_PAUSE = 5.0, 180.0
# A probe without an answer by then was cancelled with its task; another one may go.
PROBE_PATIENCE = 60.0
# Seconds after which the others look whether a probe has its answer.
LOOK_AGAIN = 1.0


@dataclass(slots=True)
class Breaker:
    """The state of one host. It keeps no time: ``now`` is in seconds, of any one clock.

    Closed, it lets all calls pass. After five failures in a row, of two accounts where there are two, it opens: no
    call for 5 seconds, then one probe does. Each probe that fails doubles the pause, up to three minutes; any answer
    closes the breaker. Callers add jitter to the pauses, so that they do not call together.
    """

    failures: int = 0
    pauses: int = 0
    retry_at: float = 0.0
    probe_until: float = 0.0
    failing: set[str] = field(default_factory=set)

    @property
    def is_open(self) -> bool:
        """Whether the host is taken to be down."""
        return self.pauses > 0

    def pause(self, now: float) -> float:
        """Return the seconds until a call may be tried; 0 if now, as the probe if the breaker is open."""
        if not self.is_open:
            return 0.0
        if now < self.probe_until:
            return LOOK_AGAIN
        return max(self.retry_at - now, 0.0)

    def begin(self, now: float) -> bool:
        """Note that a call is made now; return whether it is the probe, for which the others wait."""
        if self.is_open:
            self.probe_until = now + PROBE_PATIENCE
        return self.is_open

    def failed(self, now: float, account: str = "", *, accounts: int = 1, probe: bool) -> bool:
        """Note an account's call that got no answer, or a fault of the server; return whether that begins a pause.

        What was under way when the breaker opened tells nothing new.

        :param accounts: how many there are, this one included.
        """
        self.failures += 1
        self.failing.add(account)
        enough = self.failures >= TRIPS_AFTER and len(self.failing) >= min(TRIPS_FOR, accounts)
        if probe != self.is_open or not enough:
            return False
        self.retry_at = now + min(FIRST_PAUSE * 2.0**self.pauses, LONGEST_PAUSE)
        self.pauses, self.probe_until = self.pauses + 1, 0.0
        return True

    def answered(self) -> None:
        """Note that the host is up."""
        self.failures, self.pauses, self.probe_until = 0, 0, 0.0
        self.failing.clear()
