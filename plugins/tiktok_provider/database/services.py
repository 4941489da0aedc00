"""All parts of the store together, as one process holds them."""

from dataclasses import dataclass, field
from typing import Protocol

from tiktok_provider.database.accounts.service import AccountStore
from tiktok_provider.database.posts.service import PostStore
from tiktok_provider.database.rate_limits.service import BudgetStore
from tiktok_provider.store.token_sets import Busy, TokenState


class Accounts(Protocol):
    """What workers and triggers ask of ``tiktok_provider.database.accounts.service.AccountStore``."""

    async def look(self, conn_id: str) -> TokenState: ...

    async def refresh(self, conn_id: str, seen_generation: int) -> TokenState | Busy: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Stores:
    """The store; by default on Airflow's own database and clock."""

    accounts: Accounts = field(default_factory=AccountStore)
    posts: PostStore = field(default_factory=PostStore)
    budgets: BudgetStore = field(default_factory=BudgetStore)
