"""Keeps secrets out of all logs of a process, also of one that lives for months.

Airflow's masker forgets nothing: each new secret adds patterns, of which it builds one expression again, and ``re``
keeps up to 512 of the older expressions. That is good enough for a task; but tokens change daily, and an API server
or a triggerer would get slower and larger with every refresh. So old tokens of an account are taken out of the masker
again. Airflow has no public way for that: this module alone relies on internals of the masker, tries them on a masker
of its own first, and where they have changed keeps to the public ``add_mask``, which grows.
"""

import logging
import re
from collections.abc import Iterable
from functools import cache
from importlib import import_module
from itertools import chain
from threading import Lock
from typing import Any, Protocol
from urllib.parse import quote

from airflow.sdk.log import mask_secret

log = logging.getLogger(__name__)

# Airflow's core and its SDK have a masker each, and a process may log through either.
MASKER_MODULES = ("airflow._shared.secrets_masker", "airflow.sdk._shared.secrets_masker")
# Per account: the tokens of now, and those before, which may still be on their way to TikTok or in an error.
KEPT = 2


class Masker(Protocol):
    """What this module relies on in Airflow's masker; all but ``add_mask`` and ``redact`` is internal."""

    patterns: set[str]
    replacer: re.Pattern[str] | None
    min_length_to_mask: int

    def _adaptations(self, secret: str) -> Iterable[str]: ...

    def add_mask(self, secret: Any) -> None: ...

    def redact(self, item: Any) -> Any: ...


def mask(*values: str) -> None:
    """Mask secrets for as long as this process lives, also in the form in which URLs carry them."""
    forms = _forms(values)
    for masker in maskers():
        masker.add_mask(_listed(forms))
    if not maskers():
        mask_secret(_listed(forms))


def mask_in_task(*values: str) -> None:
    """Mask secrets of a task in the log that its supervisor writes, and here.

    Not for the triggerer or the API server: a supervisor forgets no mask.
    """
    mask_secret(_listed(_forms(values)))


class TokenMasks:
    """Masks each account's tokens, and those before them. Nothing holds older ones any more, so no log shows them."""

    def __init__(self) -> None:
        self._tokens: dict[str, list[frozenset[str]]] = {}
        self._lock = Lock()

    def mask(self, conn_id: str, *tokens: str) -> None:
        """Mask the tokens of an account, before anything is done with them.

        :param tokens: some or all of those that were given at one time.
        """
        with self._lock:
            masked = self._tokens.setdefault(conn_id, [])
            before = frozenset(chain.from_iterable(masked))
            forms = _forms(tokens)
            # The hook masks the access token alone, the store both tokens: they are of one time.
            forms = next((known for known in masked if forms <= known), forms)
            masked[:] = [*(known for known in masked if not known <= forms), forms][-KEPT:]
            # A refresh token may stay for long, and two connections may share an access token.
            kept = chain.from_iterable(chain.from_iterable(self._tokens.values()))
            _replace(forms, before - frozenset(kept))


TOKEN_MASKS = TokenMasks()


@cache
def maskers() -> tuple[Masker, ...]:
    """Return Airflow's maskers of this process; empty if they are no longer where they were."""
    found = []
    for name in MASKER_MODULES:
        try:
            found.append(import_module(name)._secrets_masker())
        except (ImportError, AttributeError):
            log.warning("Airflow's %s is not as expected: %s", name, _GROWS)
    return tuple(found)


@cache
def can_forget(kind: type[Masker]) -> bool:
    """Try on a new masker whether it masks and forgets as this module expects; a warning says if it does not."""
    secret, other = frozenset({"a/secret-to-try"}), frozenset({"another secret-to-try"})
    try:
        trial = kind()
        trial.add_mask(_listed(other))
        _replace_in(trial, secret, frozenset())
        masked = trial.redact("a/secret-to-try another secret-to-try") == "*** ***"
        _replace_in(trial, frozenset({"a third secret-to-try"}), secret)
        forgets = trial.redact("a/secret-to-try another secret-to-try") == "a/secret-to-try ***"
    except Exception:
        masked = forgets = False
    if not (masked and forgets):
        log.warning("Airflow's %s.%s is not as expected: %s", kind.__module__, kind.__qualname__, _GROWS)
    return bool(masked and forgets)


_GROWS = (
    "old tokens stay masked, so this process grows with every refresh. Install a version of airflow-provider-tiktok"
    " that knows this version of Airflow."
)


def _forms(values: Iterable[str]) -> frozenset[str]:
    return frozenset(form for value in values if value for form in (value, quote(value, safe="")))


def _listed(forms: frozenset[str]) -> list[Any]:
    return sorted(forms)


def _replace(forms: frozenset[str], past: frozenset[str]) -> None:
    for masker in maskers():
        if can_forget(type(masker)):
            _replace_in(masker, forms, past)
        else:
            masker.add_mask(_listed(forms))
    if not maskers():
        mask_secret(_listed(forms))


def _replace_in(masker: Masker, forms: frozenset[str], past: frozenset[str]) -> None:
    masker.patterns.difference_update(_patterns(masker, past))
    if new := _patterns(masker, forms) - masker.patterns:
        masker.patterns.update(new)
        _rebuild(masker)


def _patterns(masker: Masker, forms: frozenset[str]) -> set[str]:
    adapted = chain.from_iterable(map(masker._adaptations, forms))
    return {re.escape(form) for form in adapted if len(form) >= masker.min_length_to_mask}


def _rebuild(masker: Masker) -> None:
    """Build the expression once for all, and again if another thread has brought a secret meanwhile."""
    built: frozenset[str] = frozenset()
    while built != masker.patterns:
        built = frozenset(masker.patterns)
        masker.replacer = re.compile("|".join(built))
    # Else ``re`` would keep it, and every one that Airflow has built, as one of 512. It is the only public way; what
    # others have in the cache is compiled again when it is next used, and a refresh is rare.
    re.purge()
