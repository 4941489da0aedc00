"""`python -m tiktok_sandbox.connection CONN_ID`: prints an Airflow Connection for a new creator of a running sandbox.

Its output is a file for `airflow connections import`. The creator has authorized the app already.
"""

import argparse
import json

from tiktok_sandbox.client import Sandbox


def connection(sandbox: Sandbox, public_url: str, username: str) -> dict[str, object]:
    """Make an app and a creator who has authorized it; return the fields of a Connection for them.

    :param public_url: where a browser finds the sandbox.
    :param username: of the new creator.
    """
    app = sandbox.create_app()
    tokens = sandbox.issue_tokens(app, sandbox.create_account(username=username, nickname=username))
    extra = {
        "access_token": tokens.access_token,
        "refresh_token": tokens.refresh_token,
        "access_expires_at": tokens.access_expires_at,
        "refresh_expires_at": tokens.refresh_expires_at,
        "scope": tokens.scope,
        "open_id": tokens.open_id,
        "username": username,
        "authorize_url": f"{public_url}/v2/auth/authorize/",
    }
    return {
        "conn_type": "tiktok",
        "login": app.client_key,
        "password": app.client_secret,
        "host": sandbox.url,
        "extra": json.dumps(extra),
    }


def main() -> None:
    """Print the Connection as JSON."""
    parser = argparse.ArgumentParser(prog="python -m tiktok_sandbox.connection", description=__doc__)
    parser.add_argument("conn_id", help="id of the Connection")
    parser.add_argument("--url", default="http://127.0.0.1:9080", help="where Airflow finds the sandbox")
    parser.add_argument("--public-url", help="where a browser finds it (default: the same)")
    parser.add_argument("--username", default="demo_creator", help="of the new creator")
    options = parser.parse_args()
    with Sandbox(options.url) as sandbox:
        fields = connection(sandbox, (options.public_url or options.url).rstrip("/"), options.username)
    print(json.dumps({options.conn_id: fields}))


if __name__ == "__main__":
    main()
