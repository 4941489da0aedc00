"""What the operators have in common that read numbers: rows in XCom, or as JSON Lines in object storage."""

import json
import os
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk import BaseOperator, ObjectStoragePath

from tiktok_provider.exceptions import FewFrames, TikTokError
from tiktok_provider.operators.leave_worker import leave_worker
from tiktok_provider.publishing.parameters import TypedParameters
from tiktok_provider.retry import TikTokRetryPolicy

if TYPE_CHECKING:
    from airflow.sdk import Context
    from airflow.sdk.definitions.retry_policy import RetryPolicy

    from tiktok_provider.hooks.tiktok import TikTokHook

Row = dict[str, Any]
_ON_DISK = ("", "file", "local")


class TikTokRowsOperator(TypedParameters, BaseOperator):
    """Base of the operators that return rows.

    Each row has ``account`` (the connection id) and ``snapshot_at`` (when it was read, ISO 8601, UTC). Reading
    changes nothing: a retry or a clear reads the numbers of now, and replaces the file.
    """

    template_fields: Sequence[str] = ("write_to", "tiktok_conn_id")
    parameter_types: ClassVar[Mapping[str, Any]] = {"write_to": str | None, "tiktok_conn_id": str}
    ui_color = "#e6f9f8"

    def __init__(
        self,
        *,
        write_to: str | None = None,
        tiktok_conn_id: str = "tiktok_default",
        retries: int | None = 3,
        retry_policy: "RetryPolicy | None" = TikTokRetryPolicy(),  # noqa: B008  (it holds no state)
        **kwargs: Any,
    ) -> None:
        super().__init__(retries=retries, retry_policy=retry_policy, **kwargs)
        self.write_to = write_to
        self.tiktok_conn_id = tiktok_conn_id

    @abstractmethod
    def rows(self, hook: "TikTokHook") -> list[Row]:
        """Read the rows.

        :raises ConnectionSettingsError: a scope was not granted; nothing was asked.
        """

    def execute(self, context: "Context") -> list[Row] | Row:  # noqa: ARG002  (Airflow's)
        """Read, and return the rows or where they are."""
        with FewFrames():
            return self._execute()

    def execute_again(
        self,
        context: "Context",  # noqa: ARG002
        event: Any = None,  # noqa: ARG002  (Airflow's)
        *,
        outage_since: str | None = None,
    ) -> list[Row] | Row:
        """Go on after a deferral that was about the time alone."""
        with FewFrames():
            return self._execute(outage_since)

    def _execute(self, outage_since: str | None = None) -> list[Row] | Row:
        from tiktok_provider.hooks.tiktok import TikTokHook
        from tiktok_provider.publishing.outage import Outage
        from tiktok_provider.store.clock import utc_now

        outage = Outage(outage_since)
        self.check_parameters()
        stamp = {"account": self.tiktok_conn_id, "snapshot_at": utc_now().isoformat()}
        with TikTokHook(self.tiktok_conn_id) as hook:
            try:
                rows = [{**stamp, **row} for row in self.rows(hook)]
            except TikTokError as error:
                leave_worker(self, outage.pause(error), self.tiktok_conn_id, outage_since=outage.since)
        if self.write_to is None:
            return rows
        write_lines(self.write_to, rows)
        self.log.info("Wrote %d rows to %s", len(rows), self.write_to)
        return {"written_to": self.write_to, "rows": len(rows)}


def write_lines(place: str, rows: Sequence[Row]) -> None:
    """Write rows as JSON Lines, all or nothing, in place of what is there.

    :param place: a local path, or an object-storage URL that Airflow opens.
    :raises OSError: the storage cannot be written.
    """
    path = ObjectStoragePath(place)
    text = "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows)
    if path.protocol not in _ON_DISK:
        # An object appears as a whole.
        path.write_text(text)
        return
    file = Path(path.path)
    file.parent.mkdir(parents=True, exist_ok=True)
    unfinished = file.with_name(f"{file.name}.part")
    unfinished.write_text(text)
    os.replace(unfinished, file)
