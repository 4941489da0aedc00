"""How the doctor runs its checks."""

from tiktok_provider.doctor.checks import Check, Result, examine


def test_a_check_that_ends_as_nobody_expected_is_wrong_by_its_kind_and_the_next_one_runs() -> None:
    def broken(_: None) -> str:
        raise RuntimeError("words that may hold a secret")

    checks: tuple[Check[None], ...] = (
        Check("first", broken),
        Check("second", lambda _: "Fine."),
        Check("third", broken, ("first",)),
    )
    first, second, third = examine(checks, None)
    assert (first.result, second.result, third.result) == (Result.WRONG, Result.OK, Result.SKIPPED)
    assert "RuntimeError" in first.detail
    assert "secret" not in first.detail
