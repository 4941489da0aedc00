"""What strangers find at the plugin's routes, and what the plugin costs processes that do not serve it."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator

import httpx
import pytest
from fastapi import FastAPI
from starlette.routing import BaseRoute, Mount, Route

from tiktok_provider.tiktok_plugin import TikTokPlugin


@pytest.fixture(scope="module")
def app() -> FastAPI:
    """The app as the plugin gives it to the API server."""
    [entry] = TikTokPlugin().fastapi_apps
    assert entry["url_prefix"] == "/tiktok"
    served = entry["app"]
    assert isinstance(served, FastAPI)
    return served


def all_routes(routes: list[BaseRoute], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield method and path of everything that is served, in mounts too."""
    for route in routes:
        if isinstance(route, Mount):
            yield from all_routes(route.routes, prefix + route.path)
        else:
            assert isinstance(route, Route), f"how is {route} guarded?"
            yield from ((method, prefix + route.path) for method in route.methods or ())


def answer(app: FastAPI, method: str, path: str) -> httpx.Response:
    async def ask() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://airflow") as client:
            return await client.request(method, path.replace("{conn_id:path}", "tiktok_default"))

    return asyncio.run(ask())


def test_every_route_refuses_strangers(app: FastAPI) -> None:
    routes = sorted(all_routes(app.routes))
    assert ("POST", "/store/accounts/{conn_id:path}/tokens/refresh") in routes
    answers = {route: answer(app, *route) for route in routes}
    assert {route: found.status_code for route, found in answers.items()} == dict.fromkeys(routes, 401)
    assert {found.json()["error"] for found in answers.values()} == {"not_authenticated"}


@pytest.mark.parametrize("path", ["/docs", "/redoc", "/openapi.json", "/"])
def test_the_routes_are_not_described_to_strangers(app: FastAPI, path: str) -> None:
    assert answer(app, "GET", path).status_code == 404


def test_all_routes_are_async(app: FastAPI) -> None:
    for route in app.routes:
        assert isinstance(route, Route)
        assert asyncio.iscoroutinefunction(route.endpoint), f"{route.path} shares Airflow's thread pool"


def run(*arguments: str) -> str:
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()[-1]


def test_a_process_that_only_loads_the_plugin_imports_no_web_framework() -> None:
    script = (
        "import sys, json;"
        "from tiktok_provider.tiktok_plugin import TikTokPlugin;"
        "plugin = TikTokPlugin();"
        "print(json.dumps([plugin.name, [name for name in ('fastapi', 'starlette') if name in sys.modules]]))"
    )
    assert json.loads(run("-c", script)) == ["tiktok", []]


def test_airflow_finds_the_plugin_by_its_entry_point() -> None:
    script = (
        "import json; from airflow.plugins_manager import get_plugin_info, get_import_errors;"
        "print(json.dumps([[p['name'] for p in get_plugin_info()], get_import_errors()]))"
    )
    names, errors = json.loads(run("-c", script))
    assert names.count("tiktok") == 1
    assert errors == {}
