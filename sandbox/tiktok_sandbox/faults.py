"""Faults on order: rules that say which calls go wrong and how. `middleware` carries them out."""

import random
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field
from typing import Literal

from tiktok_sandbox.fields import FieldError, build

# After one of these the call is over; the others change something and let it go on.
ENDING = frozenset({"status", "error", "lost_answer", "wrong_answer", "cut"})
_NEEDED = {
    "status": "status",
    "error": "code",
    "delay": "seconds",
    "wrong_answer": "status",
    "cut": "after_bytes",
}


@dataclass(frozen=True)
class Match:
    """Which calls are meant: all that fit everything given. `path` is a prefix."""

    method: str | None = None
    path: str | None = None
    open_id: str | None = None
    publish_id: str | None = None

    def fits(self, method: str, path: str, open_ids: Collection[str], publish_id: str | None) -> bool:
        return (
            self.method in (None, method)
            and path.startswith(self.path or "")
            and (self.open_id is None or self.open_id in open_ids)
            and self.publish_id in (None, publish_id)
        )


@dataclass(frozen=True)
class Action:
    type: Literal[
        "status", "error", "delay", "lost_answer", "wrong_answer", "cut", "expire_upload_url", "revoke_token"
    ]
    status: int = 500
    body: str | dict[str, object] | list[object] | None = None
    headers: dict[str, object] = field(default_factory=dict)
    code: str | None = None
    message: str = "Ordered by a fault rule"
    seconds: float = 0
    after_bytes: int = 0

    def __post_init__(self) -> None:
        if not 200 <= self.status <= 599:
            raise FieldError("action.status must be 200 to 599")
        if self.after_bytes < 0:
            raise FieldError("action.after_bytes must not be negative")


@dataclass
class Fault:
    """A rule. It passes over the first `skip` matching calls, then fires up to `times` times (None: always)."""

    match: Match
    action: Action
    skip: int = 0
    times: int | None = 1
    probability: float = 1.0
    seen: int = 0
    fired: int = 0

    def wants(self, dice: random.Random) -> bool:
        """Whether it fires at this matching call; counts the call."""
        self.seen += 1
        if self.seen <= self.skip or (self.times is not None and self.fired >= self.times):
            return False
        if dice.random() >= self.probability:
            return False
        self.fired += 1
        return True


@dataclass(frozen=True)
class _Order:
    """A rule as it comes in."""

    action: dict[str, object]
    match: dict[str, object] = field(default_factory=dict)
    skip: int = 0
    times: int | None = 1
    probability: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.probability <= 1:
            raise FieldError("probability must be 0 to 1")


class FaultRules:
    """All rules, in the order in which they were added."""

    def __init__(self, seed: int) -> None:
        self._dice = random.Random(seed)
        self._rules: list[Fault] = []

    def add(self, values: Mapping[str, object]) -> Fault:
        order = build(_Order, values)
        action = build(Action, order.action)
        if (needed := _NEEDED.get(action.type)) and needed not in order.action:
            raise FieldError(f"action.{needed} is required")
        fault = Fault(
            match=build(Match, order.match),
            action=action,
            skip=order.skip,
            times=order.times,
            probability=order.probability,
        )
        self._rules.append(fault)
        return fault

    def clear(self) -> None:
        self._rules.clear()

    def as_json(self) -> list[dict[str, object]]:
        return [asdict(rule) for rule in self._rules]

    def due(self, method: str, path: str, open_ids: Collection[str], publish_id: str | None) -> list[Action]:
        """The actions for this call; at most the last one ends it."""
        actions: list[Action] = []
        for rule in self._rules:
            if rule.match.fits(method, path, open_ids, publish_id) and rule.wants(self._dice):
                actions.append(rule.action)
                if rule.action.type in ENDING:
                    break
        return actions
