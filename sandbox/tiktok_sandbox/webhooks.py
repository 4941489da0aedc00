"""Sends webhooks as TikTok does: signed, at least once, with ever longer pauses for up to 72 hours."""

import dataclasses
import hashlib
import hmac
import json
from typing import Any, Protocol

import httpx

from tiktok_sandbox.outgoing import outgoing_client

_OK = 200
_FIRST_PAUSE_SECONDS = 10.0
_LONGEST_PAUSE_SECONDS = 6 * 3600.0
_GIVE_UP_SECONDS = 72 * 3600.0
_TIMEOUT_SECONDS = 5.0


class Clock(Protocol):
    """The sandbox's clock."""

    def now(self) -> float:
        """Seconds since the epoch."""


def signature(client_secret: str, timestamp: int, body: bytes) -> str:
    """The value of the header `TikTok-Signature` for this body, signed at `timestamp` (s)."""
    message = f"{timestamp}.".encode() + body
    return f"t={timestamp},s={hmac.new(client_secret.encode(), message, hashlib.sha256).hexdigest()}"


@dataclasses.dataclass
class _Delivery:
    url: str
    client_secret: str
    event: str
    body: bytes
    created_at: float
    next_at: float | None = None
    status: str = "pending"
    attempts: list[dict[str, Any]] = dataclasses.field(default_factory=list)


class WebhookSender:
    """Delivers webhooks and remembers every attempt.

    Nothing runs by itself: `tick`, called from the sandbox's loop, sends what is due by the sandbox's clock.

    :param clock: the sandbox's clock.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._deliveries: list[_Delivery] = []

    async def deliver(
        self,
        url: str,
        client_key: str,
        client_secret: str,
        event: str,
        user_openid: str,
        content: dict[str, object],
        *,
        milliseconds: bool = False,
    ) -> None:
        """Send an event at once, and again by `tick` until the receiver answers 200 or 72 hours are over.

        :param url: the app's callback URL.
        :param content: travels as JSON in a string.
        :param milliseconds: whether `create_time` counts milliseconds instead of seconds. Default false.
        """
        now = self._clock.now()
        body = {
            "client_key": client_key,
            "event": event,
            "create_time": int(now * 1000) if milliseconds else int(now),
            "user_openid": user_openid,
            "content": json.dumps(content),
        }
        delivery = _Delivery(url, client_secret, event, json.dumps(body).encode(), now)
        self._deliveries.append(delivery)
        await self._attempt(delivery)

    async def tick(self) -> None:
        """Repeat all deliveries that are due."""
        for delivery in list(self._deliveries):
            if delivery.next_at is not None and delivery.next_at <= self._clock.now():
                await self._attempt(delivery)

    def deliveries(self) -> list[dict[str, Any]]:
        """All deliveries, oldest first.

        Each has `url`, `event`, `body`, `status` (`pending`, `delivered`, `dropped`), `created_at`, `next_at`
        (null when it is over or just being sent) and `attempts` with `at`, `status` and `error`.
        """
        return [
            {
                "url": delivery.url,
                "event": delivery.event,
                "body": json.loads(delivery.body),
                "status": delivery.status,
                "created_at": delivery.created_at,
                "next_at": delivery.next_at,
                "attempts": [dict(attempt) for attempt in delivery.attempts],
            }
            for delivery in self._deliveries
        ]

    async def _attempt(self, delivery: _Delivery) -> None:
        now = self._clock.now()
        # Not due while it is on its way: a tick in between must not send it a second time.
        delivery.next_at = None
        attempt = {"at": now, **await _post(delivery, int(now))}
        delivery.attempts.append(attempt)
        pause = min(_FIRST_PAUSE_SECONDS * 2 ** (len(delivery.attempts) - 1), _LONGEST_PAUSE_SECONDS)
        if attempt["status"] == _OK:
            delivery.status = "delivered"
        elif now + pause > delivery.created_at + _GIVE_UP_SECONDS:
            delivery.status = "dropped"
        else:
            delivery.next_at = now + pause


async def _post(delivery: _Delivery, timestamp: int) -> dict[str, Any]:
    headers = {
        "Content-Type": "application/json",
        "TikTok-Signature": signature(delivery.client_secret, timestamp, delivery.body),
    }
    try:
        async with outgoing_client(_TIMEOUT_SECONDS) as client:
            answer = await client.post(delivery.url, content=delivery.body, headers=headers)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return {"status": None, "error": f"{type(error).__name__}: {error}"}
    return {"status": answer.status_code, "error": None}
