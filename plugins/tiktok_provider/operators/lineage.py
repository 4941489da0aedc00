"""What the publishing tasks tell OpenLineage: from which files or URLs which post was made.

Airflow's provider ``openlineage`` calls it where it is installed; nothing else here needs it.
"""

from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from tiktok_provider.publishing.waiting.result import PostResult

if TYPE_CHECKING:
    from airflow.providers.openlineage.extractors import OperatorLineage
    from airflow.sdk import BaseOperator

    from tiktok_provider.publishing.request import PostRequest

NAMESPACE = "tiktok"
_RESULT = "tiktok_post_result"


class PostLineage:
    """Mixin of the publishing operators."""

    @abstractmethod
    def request(self) -> "PostRequest":
        """Return what is to be published."""

    def media_locations(self) -> Sequence[str]:
        """Return where the media lie; what is secret of a URL is left out later."""
        return [self.request().media.location]

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> "OperatorLineage[Any, Any]":  # noqa: ARG002
        """Tell OpenLineage of the media and of the post."""
        return lineage_of(self.media_locations(), getattr(self, _RESULT, None))

    def get_openlineage_facets_on_failure(self, task_instance: Any) -> "OperatorLineage[Any, Any]":  # noqa: ARG002
        """Tell OpenLineage of the media; that a post is out is not known."""
        return lineage_of(self.media_locations(), None)


def keep_result(operator: "BaseOperator", result: PostResult) -> None:
    """Keep what a task returns, for OpenLineage, which asks in the task's process."""
    setattr(operator, _RESULT, result)


def lineage_of(locations: Sequence[str], result: PostResult | None) -> "OperatorLineage[Any, Any]":
    """Return the lineage of a task.

    :param locations: paths or URLs of the media.
    :param result: what the task has returned; None if it has failed, and its post is not known to be out.
    """
    from airflow.providers.common.compat.openlineage.facet import Dataset
    from airflow.providers.openlineage.extractors import OperatorLineage

    inputs = [Dataset(namespace=namespace, name=name) for namespace, name in map(name_input, locations)]
    outputs = [Dataset(namespace=NAMESPACE, name=name) for name in _posts(result)]
    return OperatorLineage(inputs=inputs, outputs=outputs)


def name_input(location: str) -> tuple[str, str]:
    """Return namespace and name as OpenLineage wants them, without query, user or password.

    Source: https://openlineage.io/docs/spec/naming
    """
    parts = urlsplit(location)
    if not parts.scheme or parts.scheme == "file":
        return "file", parts.path
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}", parts.path.lstrip("/")


def _posts(result: PostResult | None) -> list[str]:
    """Name the visible posts by their ids, and a post that has none yet by its publish id."""
    if result is None:
        return []
    return [f"{result['account']}/{name}" for name in result["post_ids"] or [result["publish_id"]]]
