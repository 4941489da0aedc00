"""`python -m tiktok_sandbox`: serves the sandbox until it is stopped."""

import argparse
import json
import signal
from collections.abc import Mapping
from pathlib import Path
from types import FrameType
from typing import NoReturn

from tiktok_sandbox.control import issued_tokens
from tiktok_sandbox.granting import issue
from tiktok_sandbox.records import ALL_SCOPES
from tiktok_sandbox.registering import new_account, new_app
from tiktok_sandbox.server import ServedSandbox, prepared_sandbox


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tiktok_sandbox", description=__doc__)
    parser.add_argument(
        "--host", default="127.0.0.1", help="address to listen on (default: this machine only)"
    )
    parser.add_argument(
        "--name",
        action="append",
        default=[],
        help="a host name by which it is called besides localhost and --host, such as a container's; repeatable",
    )
    parser.add_argument("--port", type=int, default=9080, help="0 takes a free one (default: 9080)")
    parser.add_argument("--seed", type=int, default=1, help="makes all ids repeatable (default: 1)")
    parser.add_argument("--storage", type=Path, help="folder for received media (default: a temporary one)")
    parser.add_argument(
        "--processing-seconds", type=float, help="from the last byte to the post (default: 2)"
    )
    parser.add_argument(
        "--moderation-seconds", type=float, help="from the post to its public id (default: 1)"
    )
    parser.add_argument("--demo", action="store_true", help="have an app and a creator there from the start")
    parser.add_argument(
        "--redirect-uri",
        action="append",
        default=[],
        help="with --demo: a redirect URI of the app, for connecting through the consent page; repeatable",
    )
    return parser.parse_args()


def _demo(served: ServedSandbox, redirect_uris: list[str]) -> Mapping[str, object]:
    """An app and a creator who has authorized it."""
    local = any(uri.startswith("http://") for uri in redirect_uris)
    platform = "desktop" if local else "web"
    app = new_app(served.state, {"platform": platform, "redirect_uris": redirect_uris})
    account = new_account(served.state, {"username": "demo_creator", "nickname": "Demo Creator"})
    tokens = issued_tokens(served.state, issue(served.state, app, account, list(ALL_SCOPES)))
    shown = ("open_id", "access_token", "refresh_token", "access_expires_at", "refresh_expires_at", "scope")
    return {
        "client_key": app.client_key,
        "client_secret": app.client_secret,
        "username": account.username,
        **{name: tokens[name] for name in shown},
    }


def _exit(_signal: int, _frame: FrameType | None) -> NoReturn:
    raise SystemExit(0)


def main() -> None:
    options = _options()
    # The server stops at these signals by itself and then passes them on to us, to clean up and end.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _exit)
    given = {
        "processing_seconds": options.processing_seconds,
        "moderation_seconds": options.moderation_seconds,
    }
    switches = {name: value for name, value in given.items() if value is not None}
    with prepared_sandbox(
        host=options.host,
        port=options.port,
        seed=options.seed,
        storage=options.storage,
        switches=switches,
        names=options.name,
    ) as served:
        demo = _demo(served, options.redirect_uri) if options.demo else {}
        # The socket listens already, so that a reader of this line can call at once.
        print(json.dumps({"url": served.url, **demo}), flush=True)
        served.run()


if __name__ == "__main__":
    main()
