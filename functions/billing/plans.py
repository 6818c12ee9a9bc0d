"""The plans: what each includes, as `config/plans.yaml` says."""

from collections.abc import Mapping
from functools import cache

import yaml
from pydantic import BaseModel, ConfigDict, TypeAdapter

from shared_code.database.tables.organizations import Tier
from shared_code.database.tables.readings import WindowType
from shared_code.errors import ForbiddenError
from shared_code.settings import CONFIG


class Plan(BaseModel):
    """What one subscription tier includes; `max_compressors` None is no limit, the price is in US dollars a month."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    price_usd: int
    max_compressors: int | None
    windows: tuple[WindowType, ...]
    retention_days: int
    predictions: bool


@cache
def plans() -> Mapping[Tier, Plan]:
    """Return every plan, the cheapest first."""
    written = yaml.safe_load((CONFIG / "plans.yaml").read_text(encoding="utf-8"))
    return TypeAdapter(dict[Tier, Plan]).validate_python(written)


def require_window(tier: Tier, window: WindowType) -> None:
    """Let pass only windows that the plan includes.

    Raises:
        ForbiddenError: names the plan and those that include the window.
    """
    plan = plans()[tier]
    if window not in plan.windows:
        others = " and ".join(other.name for other in plans().values() if window in other.windows)
        raise ForbiddenError(f"the {plan.name} plan does not include the {window} window; {others} do")
