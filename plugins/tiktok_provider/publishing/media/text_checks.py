"""Lengths of titles and descriptions: TikTok counts UTF-16 code units, most emoji being two or more."""

import unicodedata

from tiktok_provider.publishing.media.violations import Violation

VIDEO_TITLE_LIMIT = 2200
PHOTO_TITLE_LIMIT = 90
PHOTO_DESCRIPTION_LIMIT = 4000


def utf16_length(text: str) -> int:
    """Return the number of UTF-16 code units of a text."""
    return len(text) + sum(character > "\uffff" for character in text)


def check_title(title: str, limit: int = VIDEO_TITLE_LIMIT) -> list[Violation]:
    """Return what TikTok would refuse of a title (a video's is its caption).

    :param title: may be empty.
    :param limit: UTF-16 code units; 2200 is that of videos, photo posts have 90.
    """
    return _check("title", title, limit)


def check_description(description: str, limit: int = PHOTO_DESCRIPTION_LIMIT) -> list[Violation]:
    """Return what TikTok would refuse of a photo post's description.

    :param description: may be empty.
    :param limit: UTF-16 code units.
    """
    return _check("description", description, limit)


def _check(field: str, text: str, limit: int) -> list[Violation]:
    violations = []
    length = utf16_length(text)
    if length > limit:
        found = f"{length} UTF-16 code units long"
        violations.append(Violation(field, found, f"at most {limit}", f"shorten it by {length - limit}"))
    halves = sum("\ud800" <= character <= "\udfff" for character in text)
    if halves:
        advice = "it was decoded wrongly and cannot be sent: read its source as UTF-8"
        violations.append(Violation(field, f"text with {halves} surrogates", "none", advice))
    if controls := sorted({f"U+{ord(sign):04X}" for sign in text if _is_control(sign)}):
        advice = "take them out: they show nothing, and come of data that was read wrongly"
        violations.append(
            Violation(
                field, f"text with {', '.join(controls)}", "no control characters but line breaks", advice
            )
        )
    return violations


def _is_control(sign: str) -> bool:
    """Marks of direction, joiners and the like are part of many languages' texts and of emoji."""
    return unicodedata.category(sign) == "Cc" and sign not in "\n\r\t"
