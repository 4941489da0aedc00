"""Check from a worker and from a triggerer what publishing needs."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException

from tiktok_provider.doctor.checks import Finding, Result
from tiktok_provider.exceptions import FewFrames
from tiktok_provider.publishing.parameters import TypedParameters

if TYPE_CHECKING:
    from airflow.sdk import Context

_OTHER_KEY = Finding(
    check="shared settings",
    result=Result.WRONG,
    detail=(
        "This triggerer cannot read a connection that the API server can.\n"
        "It has another [core] fernet_key than the one that encrypted the connection, or no access to the secrets"
        " backend: give it the same settings as the API server."
    ),
)
# A triggerer takes new triggers within seconds.
_LONGEST_VISIT = timedelta(minutes=5)


class TikTokDoctorOperator(TypedParameters, BaseOperator):
    """Runs the checks of ``airflow tiktok doctor`` that make sense on a worker, then the same in a triggerer.

    Returns all findings, as dicts with ``where``, ``check``, ``conn_id``, ``result`` and ``detail``. Fails without
    retries if one is wrong. Ends after five minutes with a timeout if no triggerer is alive. A clear examines again.

    :param tiktok_conn_id: a Connection of type ``tiktok``.
    """

    template_fields: Sequence[str] = ("tiktok_conn_id",)
    parameter_types: ClassVar[Mapping[str, Any]] = {"tiktok_conn_id": str}

    def __init__(self, *, tiktok_conn_id: str = "tiktok_default", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.tiktok_conn_id = tiktok_conn_id
        self.check_literals()

    def execute(self, context: "Context") -> None:  # noqa: ARG002  (Airflow's signature)
        """Examine this worker, then go on in a triggerer."""
        from tiktok_provider.doctor.run import examine_process
        from tiktok_provider.triggers.doctor import TikTokDoctorTrigger

        with FewFrames():
            self.check_parameters()
        findings = [asdict(finding) for finding in examine_process(self.tiktok_conn_id)]
        self.defer(
            trigger=TikTokDoctorTrigger(self.tiktok_conn_id),
            method_name="execute_complete",
            kwargs={"on_worker": self._logged("worker", findings)},
            timeout=_LONGEST_VISIT,
        )

    def execute_complete(
        self,
        context: "Context",  # noqa: ARG002  (Airflow's signature)
        event: Any,
        on_worker: list[dict[str, str]],
    ) -> list[dict[str, str]]:
        """Judge what was found in both places.

        :raises AirflowFailException: something is wrong.
        """
        findings = [*on_worker, *self._logged("triggerer", event)]
        if (
            _result(on_worker, "connection") == "ok"
            and _result(findings[len(on_worker) :], "connection") == "wrong"
        ):
            # What a triggerer reads by itself, a worker gets from the API server.
            findings.append(self._logged("triggerer", [asdict(_OTHER_KEY)])[0])
        if wrong := [row for row in findings if row["result"] == "wrong"]:
            words = (f"On the {row['where']}, {row['check']}: {row['detail']}" for row in wrong)
            raise AirflowFailException("\n".join(words))
        return findings

    def _logged(self, where: str, findings: Sequence[dict[str, Any]]) -> list[dict[str, str]]:
        rows = [{"where": where, **{name: str(value) for name, value in row.items()}} for row in findings]
        for row in rows:
            say = self.log.info if row["result"] == "ok" else self.log.warning
            say("%s: %s: %s: %s", row["where"], row["check"], row["result"], row["detail"])
        return rows


def _result(findings: Sequence[Mapping[str, str]], check: str) -> str:
    return next((row["result"] for row in findings if row["check"] == check), "")
