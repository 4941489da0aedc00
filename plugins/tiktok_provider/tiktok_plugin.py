"""What Airflow's plugin manager loads, in every process; the web app is built in the API server only."""

from functools import cached_property
from typing import Any

from airflow.plugins_manager import AirflowPlugin

URL_PREFIX = "/tiktok"


class TikTokPlugin(AirflowPlugin):
    """Mounts the provider's web app under ``/tiktok``."""

    name = "tiktok"

    @cached_property
    def fastapi_apps(self) -> list[dict[str, Any]]:  # type: ignore[override]
        """The web app. Only the API server asks for it, so workers never import FastAPI."""
        from tiktok_provider.database.services import Services
        from tiktok_provider.web.application import build_application

        return [{"name": "TikTok", "url_prefix": URL_PREFIX, "app": build_application(Services())}]
