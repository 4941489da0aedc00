"""What a check finds, and how checks run in order."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, TypeVar

from tiktok_provider.exceptions import TikTokError

S = TypeVar("S")


class Result(StrEnum):
    """How a check ended."""

    OK = "ok"
    WARNING = "warning"
    WRONG = "wrong"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One line of the doctor's report.

    :param conn_id: the account that was checked; empty if it is about no single one.
    :param detail: what was found, or what to do. Never a secret.
    """

    check: str
    conn_id: str = ""
    result: Result
    detail: str

    @property
    def failed(self) -> bool:
        """Whether checks that need this one are skipped."""
        return self.result in (Result.WRONG, Result.SKIPPED)


class CheckWarningError(TikTokError):
    """Something that works now and will not for long, or not for everything."""


@dataclass(frozen=True, slots=True)
class Check(Generic[S]):
    """One check.

    :param run: returns what was found; raises ``CheckWarningError``, or another ``TikTokError`` that says what
        to do. Of any other error only the type is reported.
    :param needs: names of checks that must not have failed before.
    """

    name: str
    run: Callable[[S], str]
    needs: tuple[str, ...] = ()


def examine(
    checks: Sequence[Check[S]], subject: S, conn_id: str = "", before: Sequence[Finding] = ()
) -> Iterator[Finding]:
    """Run checks in order; a check that needs a failed one is skipped.

    :param before: what earlier examinations found.
    """
    failed = {finding.check for finding in before if finding.failed}
    for check in checks:
        result, detail = _run(check, subject, failed)
        if result in (Result.WRONG, Result.SKIPPED):
            failed.add(check.name)
        yield Finding(check=check.name, conn_id=conn_id, result=result, detail=detail)


def _run(check: Check[S], subject: S, failed: set[str]) -> tuple[Result, str]:
    if missing := [name for name in check.needs if name in failed]:
        return Result.SKIPPED, f"Mend this first: {', '.join(missing)}."
    try:
        return Result.OK, check.run(subject)
    except CheckWarningError as warning:
        return Result.WARNING, str(warning)
    except TikTokError as error:
        return Result.WRONG, str(error)
    except Exception as error:
        # Its own words could hold anything.
        return Result.WRONG, (
            f"It ended in {type(error).__name__}, which is mostly a setting that cannot be used at all. Look at the"
            " addresses and files in sections [tiktok] and [api] and, in the environment, at SSL_CERT_FILE,"
            " SSL_CERT_DIR, HTTPS_PROXY and ALL_PROXY."
        )
