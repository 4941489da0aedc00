"""Webhooks are signed as documented and repeated until the receiver answers 200 or 72 hours are over."""

import asyncio
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast

import pytest

from tests.sandbox.conftest import MakeCreator, Media
from tiktok_sandbox.clock import Clock
from tiktok_sandbox.webhooks import WebhookSender, signature


class Receiver(ThreadingHTTPServer):
    """A developer's server that answers the statuses it is told, the last one for ever."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.statuses = [200]
        self.received: list[tuple[str, bytes]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/hook"


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        receiver = cast(Receiver, self.server)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        receiver.received.append((self.headers["tiktok-signature"], body))
        self.send_response(receiver.statuses.pop(0) if len(receiver.statuses) > 1 else receiver.statuses[0])
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing on the terminal."""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def clock() -> Clock:
    clock = Clock()
    clock.freeze()
    return clock


@pytest.fixture
def sender(clock: Clock) -> WebhookSender:
    return WebhookSender(clock)


def deliver(sender: WebhookSender, url: str, milliseconds: bool = False) -> dict[str, Any]:
    content: dict[str, object] = {"publish_id": "v_pub_file~v2-1.1", "publish_type": "DIRECT_PUBLISH"}
    coroutine = sender.deliver(
        url, "sbawkey", "not-a-secret", "post.publish.complete", "-000mia", content, milliseconds=milliseconds
    )
    asyncio.run(coroutine)
    return sender.deliveries()[-1]


def test_the_signature_is_the_one_of_the_documented_vector() -> None:
    body = (
        b'{"client_key":"bwo2m45353a6k85","event":"authorization.removed","create_time":1615338610,'
        b'"user_openid":"act.example12345Example12345Example","content":"{\\"reason\\": 1 }"}'
    )
    digest = "5ea844c9dd74e8d6da9c22c902e0be80aa7d62fa55f1c72a7781fbb837a20d65"
    assert signature("secret", 1633174587, body) == f"t=1633174587,s={digest}"


@pytest.mark.parametrize(("milliseconds", "factor"), [(False, 1), (True, 1000)])
def test_the_body_carries_its_content_as_json_in_a_string(
    sender: WebhookSender, clock: Clock, receiver: Receiver, milliseconds: bool, factor: int
) -> None:
    deliver(sender, receiver.url, milliseconds)
    ((header, raw),) = receiver.received
    body = json.loads(raw)
    content = json.loads(body.pop("content"))
    assert body == {
        "client_key": "sbawkey",
        "event": "post.publish.complete",
        "create_time": int(clock.now() * factor),
        "user_openid": "-000mia",
    }
    assert content == {"publish_id": "v_pub_file~v2-1.1", "publish_type": "DIRECT_PUBLISH"}
    assert header == signature("not-a-secret", int(clock.now()), raw)


def test_an_answer_of_200_ends_the_delivery(sender: WebhookSender, clock: Clock, receiver: Receiver) -> None:
    assert deliver(sender, receiver.url)["status"] == "delivered"
    clock.advance(3600)
    asyncio.run(sender.tick())
    assert len(receiver.received) == 1


@pytest.mark.parametrize("refusal", [204, 302, 400, 500])
def test_any_other_answer_is_repeated_with_growing_pauses(
    sender: WebhookSender, clock: Clock, receiver: Receiver, refusal: int
) -> None:
    receiver.statuses = [refusal, refusal, 200]
    delivery = deliver(sender, receiver.url)
    assert delivery["status"] == "pending"
    pauses = []
    while delivery["status"] == "pending":
        pauses.append(delivery["next_at"] - clock.now())
        clock.advance(pauses[-1] - 0.5)
        asyncio.run(sender.tick())
        assert len(receiver.received) == len(pauses), "sent before it was due"
        clock.advance(0.5)
        asyncio.run(sender.tick())
        delivery = sender.deliveries()[0]
    assert [attempt["status"] for attempt in delivery["attempts"]] == [refusal, refusal, 200]
    assert pauses[1] == 2 * pauses[0]
    assert delivery["next_at"] is None


def test_every_attempt_is_the_same_event_signed_anew(
    sender: WebhookSender, clock: Clock, receiver: Receiver
) -> None:
    receiver.statuses = [500, 200]
    deliver(sender, receiver.url)
    clock.advance(60)
    asyncio.run(sender.tick())
    (first, body), (second, body_again) = receiver.received
    assert body == body_again
    assert first != second == signature("not-a-secret", int(clock.now()), body)


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/hook", "nonsense", "http://[broken/"])
def test_a_receiver_that_cannot_be_reached_gets_attempts_for_72_hours_and_no_longer(
    sender: WebhookSender, clock: Clock, url: str
) -> None:
    start = clock.now()
    delivery = deliver(sender, url)
    while delivery["status"] == "pending":
        clock.advance(delivery["next_at"] - clock.now())
        asyncio.run(sender.tick())
        delivery = sender.deliveries()[0]
    attempts = delivery["attempts"]
    assert delivery["status"] == "dropped"
    assert 60 * 3600 < attempts[-1]["at"] - start <= 72 * 3600
    assert all(attempt["status"] is None and attempt["error"] for attempt in attempts)


@pytest.mark.parametrize(
    ("switches", "publish_type", "kind_of_id"),
    [
        ({}, "DIRECT_PUBLISH", str),
        ({"webhook_publish_type": "DIRECT_POST", "webhook_post_id": "number"}, "DIRECT_POST", int),
    ],
)
def test_a_direct_post_is_announced_as_a_recorded_webhook_has_it_and_otherwise_by_a_switch(
    make_creator: MakeCreator,
    receiver: Receiver,
    clip: Media,
    switches: dict[str, object],
    publish_type: str,
    kind_of_id: type,
) -> None:
    creator = make_creator(app={"webhook_url": receiver.url})
    creator.sandbox.set_switches(**switches)
    creator.publish(clip)
    creator.sandbox.advance(60)
    # Before time moves, what is on its way is waited for.
    creator.sandbox.advance(1)
    bodies = [json.loads(body) for _, body in receiver.received]
    contents = {body["event"]: json.loads(body["content"]) for body in bodies}
    assert contents["post.publish.complete"]["publish_type"] == publish_type
    public = contents["post.publish.publicly_available"]
    assert (public["publish_type"], type(public["post_id"])) == (publish_type, kind_of_id)
