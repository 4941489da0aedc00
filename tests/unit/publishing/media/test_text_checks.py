"""TikTok counts UTF-16 code units, not characters."""

from collections.abc import Callable

import pytest

from tiktok_provider.publishing.media.text_checks import check_description, check_title, utf16_length
from tiktok_provider.publishing.media.violations import Violation

FAMILY = "👨‍👩‍👧‍👦"


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("", 0),
        ("caption", 7),
        ("é", 1),
        ("e\u0301", 2),
        ("日本", 2),
        ("\uffff", 1),
        ("\U00010000", 2),
        ("🎬", 2),
        (FAMILY, 11),
        ("🇫🇷", 4),
        ("\ud83c", 1),
        ("\ud83c\udfac", 2),
    ],
)
def test_a_text_is_as_long_as_its_utf_16_code_units(text: str, length: int) -> None:
    assert utf16_length(text) == length
    assert utf16_length(text) == len(text.encode("utf-16-le", "surrogatepass")) // 2


@pytest.mark.parametrize(("check", "limit"), [(check_title, 2200), (check_description, 4000)])
@pytest.mark.parametrize("character", ["a", "🎬"])
def test_a_text_may_reach_its_limit_and_no_more(
    check: Callable[[str], list[Violation]], limit: int, character: str
) -> None:
    full = character * (limit // utf16_length(character))
    assert check(full) == []
    (violation,) = check(full + "#")
    assert violation.value == f"{limit + 1} UTF-16 code units long"
    assert violation.limit == f"at most {limit}"


def test_another_limit_can_be_named() -> None:
    assert check_title("🎬" * 45, limit=90) == []
    assert [str(violation) for violation in check_title("🎬" * 46, limit=90)] == [
        "title is 92 UTF-16 code units long, allowed: at most 90\n  (shorten it by 2)"
    ]


@pytest.mark.parametrize("text", ["cut \ud83c", "\udfac cut", "\ud83c\udfac"])
def test_surrogates_are_refused_because_they_cannot_be_sent(text: str) -> None:
    with pytest.raises(UnicodeEncodeError):
        text.encode()
    (violation,) = check_title(text)
    assert violation.field == "title"
    assert "surrogate" in violation.value


def test_both_faults_of_a_text_are_found_at_once() -> None:
    violations = check_description("\ud83c" * 4001)
    assert [violation.limit for violation in violations] == ["at most 4000", "none"]


@pytest.mark.parametrize("sign", ["\0", "\x07", "\x1b", "\x7f", "\x9b"])
def test_control_characters_are_refused_by_their_number(sign: str) -> None:
    [violation] = check_title(f"spring{sign}sale")
    assert str(violation).startswith(f"title is text with U+{ord(sign):04X}, allowed: no control characters")


@pytest.mark.parametrize(
    "text", ["two\nlines\r\n", "tab\there", "\u202eright\u202c", "\U0001f468\u200d\U0001f373", "\ufeff"]
)
def test_line_breaks_marks_of_direction_and_joiners_are_text(text: str) -> None:
    assert check_title(text) == []
