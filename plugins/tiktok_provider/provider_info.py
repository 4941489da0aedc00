"""What Airflow reads about this provider. Imports nothing: see the package's docstring."""

from typing import Any

_TIME = {"type": ["string", "null"], "format": "date-time"}
_TEXT = {"type": ["string", "null"]}
_SECRET = {"type": ["string", "null"], "format": "password"}


def _field(label: str, schema: dict[str, Any], description: str = "") -> dict[str, Any]:
    return {"label": label, "description": description, "schema": schema}


# The fields of a Connection's extra, as the form shows them.
EXTRA_FIELDS: dict[str, dict[str, Any]] = {
    "access_token": _field("Access token", _SECRET, "Lives 24 hours."),
    "refresh_token": _field(
        "Refresh token",
        _SECRET,
        "Lives a year. In a connection that ends in .tokens the provider keeps the current tokens: if it is edited or"
        " deleted, the account must be connected again.",
    ),
    "access_expires_at": _field("Access token expires at", _TIME, "ISO 8601, UTC."),
    "refresh_expires_at": _field("Refresh token expires at", _TIME, "ISO 8601, UTC."),
    "open_id": _field("Open id", _TEXT, "TikTok's id of this account for this app."),
    "scope": _field(
        "Granted scopes", _TEXT, "Separated by commas, as TikTok gives them; in JSON a list will do, too."
    ),
    "username": _field("Username", _TEXT, "The handle, with or without its @, for links to posts."),
    "publish_to": _field(
        "Public photo storage",
        _TEXT,
        "Where photos from files are copied to for TikTok, such as s3://aws_default@bucket/photos.",
    ),
    "public_base_url": _field(
        "Its public address",
        _TEXT,
        "The https address of that storage; its domain is verified in TikTok's developer portal.",
    ),
    "authorize_url": _field(
        "Consent page",
        {"type": ["string", "null"], "format": "url"},
        "Empty for TikTok's own. Others must be listed in [tiktok] allowed_hosts.",
    ),
}

CONNECTION_TYPE: dict[str, Any] = {
    "connection-type": "tiktok",
    "hook-class-name": "tiktok_provider.hooks.tiktok.TikTokHook",
    "hook-name": "TikTok",
    "conn-fields": EXTRA_FIELDS,
    "ui-field-behaviour": {
        "hidden-fields": ["schema", "port"],
        "relabeling": {"login": "Client key", "password": "Client secret", "host": "API base URL"},
        "placeholders": {"host": "https://open.tiktokapis.com"},
    },
}

_CONFIG = {
    "tiktok": {
        "description": "Publishing to TikTok.",
        "options": {
            "allowed_hosts": {
                "description": "Origins besides TikTok's own that connections may use for the API, for the consent"
                " page and for uploads, such as http://127.0.0.1:9080; separated by spaces or commas. Who may edit"
                " a connection can send the app's secret to any of them.",
                "version_added": "0.1.0",
                "type": "string",
                "example": "http://127.0.0.1:9080",
                "default": "",
            },
            "store_url": {
                "description": "Address of an API server that runs 'core' and this provider, as workers and"
                " triggerers reach it; they ask it for current tokens. Empty for that of [core]"
                " execution_api_server_url, else of [api] base_url.",
                "version_added": "0.1.0",
                "type": "string",
                "example": "http://airflow-api-server:8080",
                "default": "",
            },
            "upload_chunk_size": {
                "description": "Bytes of one chunk of an upload, 5242880 to 64000000. It decides how much is sent"
                " again after a fault; memory does not depend on it.",
                "version_added": "0.1.0",
                "type": "integer",
                "example": None,
                "default": "32000000",
            },
            "outage_patience": {
                "description": "Seconds for which a task waits for the end of an outage of TikTok, the network or the"
                " API server, away from its worker, before its try fails. 0: its try fails at once.",
                "version_added": "0.1.0",
                "type": "integer",
                "example": None,
                "default": "7200",
            },
        },
    }
}


def get_provider_info() -> dict[str, Any]:
    """Return the provider's metadata in the shape of Airflow's provider_info schema."""
    name = "TikTok"
    return {
        "package-name": "airflow-provider-tiktok",
        "name": name,
        "description": "Publish videos to TikTok from Apache Airflow through TikTok's official API.",
        "integrations": [
            {
                "integration-name": name,
                "external-doc-url": "https://developers.tiktok.com/doc/content-posting-api-get-started",
                "tags": ["service"],
            }
        ],
        "connection-types": [CONNECTION_TYPE],
        "hooks": [{"integration-name": name, "python-modules": ["tiktok_provider.hooks.tiktok"]}],
        "operators": [
            {
                "integration-name": name,
                "python-modules": [
                    "tiktok_provider.operators.accounts",
                    "tiktok_provider.operators.creator_info",
                    "tiktok_provider.operators.doctor",
                    "tiktok_provider.operators.publish_photos",
                    "tiktok_provider.operators.publish_video",
                    "tiktok_provider.operators.upload_photos",
                    "tiktok_provider.operators.upload_video",
                    "tiktok_provider.operators.videos",
                ],
            }
        ],
        "sensors": [{"integration-name": name, "python-modules": ["tiktok_provider.sensors.post_status"]}],
        "triggers": [
            {
                "integration-name": name,
                "python-modules": [
                    "tiktok_provider.triggers.cap",
                    "tiktok_provider.triggers.doctor",
                    "tiktok_provider.triggers.new_videos",
                    "tiktok_provider.triggers.post_status",
                ],
            }
        ],
        "asset-uris": [
            {
                "schemes": ["tiktok"],
                "handler": "tiktok_provider.assets.sanitize_uri",
                "factory": "tiktok_provider.assets.posts_asset",
            }
        ],
        "extra-links": ["tiktok_provider.links.TikTokPostLink"],
        "db-managers": ["tiktok_provider.database.session.TikTokDBManager"],
        "cli": ["tiktok_provider.cli.definition.get_tiktok_cli_commands"],
        "config": _CONFIG,
    }
