"""Keeps secrets out of all logs of a process, also of one that lives for months."""

import re
from collections.abc import Iterable
from itertools import chain
from threading import Lock
from urllib.parse import quote

from airflow._shared.secrets_masker import SecretsMasker as CoreMasker
from airflow._shared.secrets_masker import _secrets_masker as core_masker
from airflow.sdk._shared.secrets_masker import SecretsMasker as SdkMasker
from airflow.sdk._shared.secrets_masker import _secrets_masker as sdk_masker

Masker = CoreMasker | SdkMasker

# Token sets of an account: the present one, and the one before it, which may still be on its way somewhere.
KEPT_SETS = 2


def mask(*values: str) -> None:
    """Mask secrets for as long as this process lives, also in the form in which URLs carry them."""
    for masker in _maskers():
        masker.add_mask(list(_forms(values)))


class TokenMasks:
    """Masks each account's last two token sets.

    Airflow's masker builds one expression of all secrets anew for each new one, so that an API server which never
    forgot any would get slower with every refresh. Nothing here holds an older set any more, so no log can show it.
    """

    def __init__(self) -> None:
        self._sets: dict[str, list[frozenset[str]]] = {}
        self._lock = Lock()

    def mask(self, conn_id: str, *tokens: str) -> None:
        """Mask the tokens of a set before anything is done with them."""
        forms = _forms(tokens)
        with self._lock:
            seen = self._sets.setdefault(conn_id, [])
            past = frozenset(chain.from_iterable(seen))
            seen[:] = [*(old for old in seen if old != forms), forms][-KEPT_SETS:]
            # A refresh token may stay from set to set.
            # Two connections may share a lone access token.
            kept = chain.from_iterable(chain.from_iterable(self._sets.values()))
            _remask(forms, past - frozenset(kept))


TOKEN_MASKS = TokenMasks()


def _forms(values: Iterable[str]) -> frozenset[str]:
    return frozenset(form for value in values if value for form in (value, quote(value, safe="")))


def _maskers() -> tuple[Masker, ...]:
    """Airflow's core and its SDK have one each, and a process may log through either."""
    return core_masker(), sdk_masker()


def _remask(forms: frozenset[str], past: frozenset[str]) -> None:
    for masker in _maskers():
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
