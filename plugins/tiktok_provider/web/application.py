"""The web app that the plugin mounts in Airflow's API server."""

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from tiktok_provider.database.services import Services
from tiktok_provider.exceptions import TikTokError
from tiktok_provider.store.serialization import encode_error
from tiktok_provider.web.store_routes import store_routes


def build_application(services: Services) -> FastAPI:
    """Return the app.

    :param services: the store behind it.
    """
    # The documentation routes of FastAPI would be open to strangers: dependencies do not cover them.
    app = FastAPI(title="TikTok", docs_url=None, redoc_url=None, openapi_url=None)
    app.include_router(store_routes(services))
    # An app that is mounted does not get Airflow's own handlers.
    app.add_exception_handler(TikTokError, _answer_error)
    app.add_exception_handler(Exception, _answer_bug)
    return app


async def _answer_error(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, TikTokError)
    status, document = encode_error(error)
    return JSONResponse(document, status)


async def _answer_bug(_request: Request, error: Exception) -> JSONResponse:
    """Name the kind of error only: its text could hold anything. Starlette raises it again for the server's log."""
    sentence = f"A fault in the TikTok store ({type(error).__name__}): see the API server's log."
    return JSONResponse({"error": "internal_error", "message": sentence}, 500)
