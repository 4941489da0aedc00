"""What stays masked in a process that lives for months, and what is forgotten."""

import asyncio
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from urllib.parse import quote

import pytest
from airflow._shared.secrets_masker import _secrets_masker as core_masker
from airflow.sdk._shared.secrets_masker import _secrets_masker as sdk_masker

from tests.unit.database.accounts.refreshing import refresh
from tests.unit.databases import Mia
from tiktok_provider.security.masking import KEPT_SETS, TokenMasks, mask
from tiktok_provider.store.token_sets import TokenState

NOW = datetime(2030, 1, 31, 12, tzinfo=UTC)
Redact = Callable[[str], str]


@pytest.fixture(params=[core_masker, sdk_masker], ids=["core", "sdk"])
def redact(request: pytest.FixtureRequest) -> Iterator[Redact]:
    """What a log shows of a text; the secrets of this test are forgotten after it."""
    before = [(masker, set(masker.patterns), masker.replacer) for masker in (core_masker(), sdk_masker())]
    yield lambda text: str(request.param().redact(text))
    for masker, patterns, replacer in before:
        masker.patterns, masker.replacer = patterns, replacer


def tokens(number: int, refresh_token: str = "") -> tuple[str, str]:
    return f"act.fake!access*{number}", refresh_token or f"rft.fake!refresh*{number}"


def test_the_last_two_sets_of_each_account_are_masked_as_they_are_and_as_urls_carry_them(
    redact: Redact,
) -> None:
    masks = TokenMasks()
    for number in (1, 2, 3):
        masks.mask("mia", *tokens(number))
    masks.mask("leo", *tokens(7))
    for number in (2, 3, 7):
        for token in tokens(number):
            assert redact(f"{token} {quote(token)}") == "*** ***"
    assert redact(tokens(1)[0]) == tokens(1)[0], "nobody holds it any more"


def test_a_refresh_token_that_stays_is_masked_for_as_long_as_it_is_in_use(redact: Redact) -> None:
    masks = TokenMasks()
    for number in range(1, 6):
        masks.mask("mia", *tokens(number, "rft.fake!lasting"))
    assert redact("rft.fake!lasting") == "***"


def test_a_set_that_comes_back_is_masked_again(redact: Redact) -> None:
    masks = TokenMasks()
    for number in (1, 2, 3, 1, 3, 1):
        masks.mask("mia", *tokens(number))
    assert redact(f"{tokens(1)[0]} {tokens(3)[0]}") == "*** ***"


def test_other_secrets_stay_masked_when_a_set_is_forgotten(redact: Redact) -> None:
    masks = TokenMasks()
    masks.mask("mia", *tokens(1))
    mask("fake/client secret")
    for number in (2, 3):
        masks.mask("mia", *tokens(number))
    assert redact("fake/client secret fake%2Fclient%20secret") == "*** ***"


def test_a_secret_that_is_brought_while_the_expression_is_built_is_masked(
    redact: Redact, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = iter(["another secret"])
    compiled = TokenMasks.mask.__globals__["re"].compile

    def slowly(expression: str) -> object:
        built = compiled(expression)
        for masker in (core_masker(), sdk_masker()):
            masker.patterns.update(late)
        return built

    monkeypatch.setattr("tiktok_provider.security.masking.re.compile", slowly)
    TokenMasks().mask("mia", "act.fake!slow")
    monkeypatch.undo()
    assert redact("act.fake!slow") == "***"
    assert any(str(masker().redact("another secret")) == "***" for masker in (core_masker, sdk_masker))


def test_an_api_server_that_refreshes_for_long_does_not_collect_the_tokens_of_each_day(mia: Mia) -> None:
    def a_day() -> int:
        mia.clock.advance(days=1, seconds=1)
        state = refresh(mia, generations[-1])
        assert isinstance(state, TokenState)
        generations.append(state.generation)
        return len(core_masker().patterns)

    asyncio.run(mia.store().look("mia"))
    generations = [1]
    counts = [a_day() for _ in range(KEPT_SETS + 4)]
    assert counts[KEPT_SETS:] == counts[KEPT_SETS:][:1] * 4
