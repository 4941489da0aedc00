"""What Airflow shows of a mapped task in place of its index."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow.sdk import Context

    from tiktok_provider.publishing.request import PostRequest

# What Airflow keeps of a label.
LONGEST_LABEL = 250


def label_of(request: "PostRequest") -> str:
    """Return its media's name and its title."""
    name = request.media.location.rpartition("/")[2]
    return " ".join(f"{name} {request.content.get('title') or ''}".split())[:LONGEST_LABEL]


def set_map_label(context: "Context") -> None:
    """Airflow takes the default of a mapped task's template from its ``partial()`` alone, so set it here."""
    map_index = context["ti"].map_index
    if map_index is not None and map_index >= 0 and not context.get("map_index_template"):
        context["map_index_template"] = "{{ task.map_label }}"
