"""Words from outside, made harmless for a terminal and a log: nothing in them steers a screen or forges a line."""

import unicodedata

# Control characters, halves of surrogate pairs, separators of lines and paragraphs.
_NEVER_SHOWN = ("Cc", "Cs", "Zl", "Zp")
# Marks that turn the direction of what follows; other invisible ones join emoji.
_DIRECTION = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def plain_text(text: str, *, keep: str = "\n\t") -> str:
    """Return a text without what steers a terminal: control characters, and marks of direction.

    :param keep: control characters that stay.
    """
    return "".join(sign for sign in text if sign in keep or not _steers(sign))


def one_line(text: str) -> str:
    """Return a text as one line, for a sentence that quotes it."""
    return plain_text(" ".join(text.split()), keep="")


def _steers(sign: str) -> bool:
    return sign in _DIRECTION or unicodedata.category(sign) in _NEVER_SHOWN
