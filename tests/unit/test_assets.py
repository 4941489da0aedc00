"""The asset of all posts, as Airflow finds it."""

import pytest
from airflow.sdk import Asset
from airflow.sdk.providers_manager_runtime import ProvidersManagerTaskRuntime

from tiktok_provider.assets import POSTS, POSTS_URI, posts_asset


def test_airflow_knows_the_scheme_and_who_makes_its_assets() -> None:
    manager = ProvidersManagerTaskRuntime()
    assert manager.asset_uri_handlers["tiktok"].__module__ == "tiktok_provider.assets"
    made = manager.asset_factories["tiktok"](extra=None)
    assert (made.name, made.uri) == (POSTS, POSTS_URI)
    assert made == posts_asset()


@pytest.mark.parametrize("uri", [POSTS_URI, "tiktok://videos/tiktok_default", "tiktok://videos/team/mia"])
def test_uris_that_stand_for_something_are_taken(uri: str) -> None:
    assert Asset("mine", uri).uri == uri


@pytest.mark.parametrize(
    "uri", ["tiktok://", "tiktok://videos", "tiktok://posts/7", "tiktok://posts?day=1", "tiktok://post"]
)
def test_other_uris_are_refused_while_the_dag_is_parsed(uri: str) -> None:
    with pytest.raises(ValueError, match="tiktok"):
        Asset("mine", uri)
