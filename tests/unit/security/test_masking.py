"""What stays masked in a process that lives for months, and what is forgotten."""

import asyncio
import re
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

import pytest
from airflow._shared.secrets_masker import SecretsMasker as CoreMasker
from airflow._shared.secrets_masker import _secrets_masker as core_masker
from airflow.sdk._shared.secrets_masker import _secrets_masker as sdk_masker
from airflow.sdk.execution_time import task_runner

from tests.unit.database.accounts.refreshing import refresh
from tests.unit.databases import Mia
from tiktok_provider.security.masking import KEPT, TokenMasks, can_forget, mask, mask_in_task, maskers
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


def test_a_token_that_two_accounts_share_stays_masked_when_the_first_one_gets_others(redact: Redact) -> None:
    masks = TokenMasks()
    for conn_id in ("mia", "leo"):
        masks.mask(conn_id, *tokens(1))
    for number in (2, 3, 4):
        masks.mask("mia", *tokens(number))
    assert redact(tokens(1)[0]) == "***"
    for number in (5, 6):
        masks.mask("leo", *tokens(number))
    assert redact(tokens(1)[0]) == tokens(1)[0]


@pytest.mark.parametrize("store_first", [True, False])
def test_the_access_token_alone_and_the_pair_count_as_one(redact: Redact, store_first: bool) -> None:
    masks = TokenMasks()
    for number in (1, 2):
        access_token, refresh_token = tokens(number)
        calls = [(access_token, refresh_token), (access_token,)]
        for call in calls if store_first else reversed(calls):
            masks.mask("mia", *call)
    for token in (*tokens(1), *tokens(2)):
        assert redact(token) == "***"


def test_a_secret_that_is_brought_while_the_expression_is_built_is_masked(
    redact: Redact, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert all(can_forget(type(masker)) for masker in maskers())
    late = iter(["another secret"])
    compiled = re.compile

    def slowly(expression: str) -> object:
        built = compiled(expression)
        for masker in (core_masker(), sdk_masker()):
            masker.patterns.update(late)
        return built

    with monkeypatch.context() as patch:
        patch.setattr(re, "compile", slowly)
        TokenMasks().mask("mia", "act.fake!slow")
    assert redact("act.fake!slow") == "***"
    assert any(str(masker().redact("another secret")) == "***" for masker in (core_masker, sdk_masker))


def test_airflows_maskers_are_as_this_version_relies_on() -> None:
    assert maskers() == (core_masker(), sdk_masker())
    assert [can_forget(type(masker)) for masker in maskers()] == [True, True]


class OfALaterAirflow(CoreMasker):
    """A masker that keeps its expression elsewhere."""

    def redact(self, item: Any, *arguments: Any, **options: Any) -> Any:
        return item if self.replacer is None else super().redact(item, *arguments, **options)

    @property
    def replacer(self) -> Any:
        return self.__dict__.get("expression")

    @replacer.setter
    def replacer(self, value: Any) -> None:
        if sys._getframe(1).f_globals["__name__"] == CoreMasker.__module__:
            self.__dict__["expression"] = value


class WithoutAdaptations(CoreMasker):
    """A masker that names what it does in another way."""

    _adaptations = property()

    def add_mask(self, secret: Any, name: str | None = None) -> None:  # noqa: ARG002
        self.patterns.update(map(re.escape, secret))
        self.replacer = re.compile("|".join(self.patterns))


@pytest.mark.parametrize("kind", [OfALaterAirflow, WithoutAdaptations])
def test_a_masker_with_other_internals_masks_all_and_says_once_that_it_grows(
    kind: type[CoreMasker], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    can_forget.cache_clear()
    later = kind()
    monkeypatch.setattr("tiktok_provider.security.masking.maskers", lambda: (later,))
    masks = TokenMasks()
    for number in range(1, 6):
        masks.mask("mia", *tokens(number))
    for number in range(1, 6):
        assert str(later.redact(" ".join(tokens(number)))) == "*** ***"
    assert caplog.text.count("old tokens stay masked, so this process grows") == 1


def test_without_the_modules_of_the_maskers_the_public_way_is_taken(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    masked: list[str] = []
    monkeypatch.setattr("tiktok_provider.security.masking.MASKER_MODULES", ("airflow.not_there", "json"))
    monkeypatch.setattr("tiktok_provider.security.masking.mask_secret", masked.extend)
    maskers.cache_clear()
    try:
        TokenMasks().mask("mia", "act.fake!token")
        mask("fake secret")
    finally:
        maskers.cache_clear()
    assert masked == ["act.fake!token", "act.fake%21token", "fake secret", "fake%20secret"]
    assert caplog.text.count("is not as expected") == 2, "each module once"


def test_a_task_tells_its_supervisor_of_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[Any] = []
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", SimpleNamespace(send=sent.append), raising=False)
    mask_in_task("act.fake!task")
    assert [message.value for message in sent] == [["act.fake!task", "act.fake%21task"]]
    assert str(sdk_masker().redact("act.fake!task")) == "***"


def test_an_api_server_that_refreshes_for_long_does_not_collect_the_tokens_of_each_day(mia: Mia) -> None:
    def a_day() -> int:
        mia.clock.advance(days=1, seconds=1)
        state = refresh(mia, generations[-1])
        assert isinstance(state, TokenState)
        generations.append(state.generation)
        return len(core_masker().patterns)

    asyncio.run(mia.store().look("mia"))
    generations = [1]
    counts = [a_day() for _ in range(KEPT + 4)]
    assert counts[KEPT:] == counts[KEPT:][:1] * 4
