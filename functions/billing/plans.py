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
    requests_per_minute: int
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


def require_room(tier: Tier, max_compressors: int | None, in_use: int) -> None:
    """Let pass only where another machine is within the organization's limit; None is no limit.

    Raises:
        ForbiddenError: names the plan and those that include more.
    """
    if max_compressors is None or in_use < max_compressors:
        return
    others = [
        plan.name for plan in plans().values() if plan.max_compressors is None or plan.max_compressors > max_compressors
    ]
    more = f"; {' and '.join(others)} have more" if others else ""
    raise ForbiddenError(f"the {plans()[tier].name} plan has {max_compressors} machines, and all are taken{more}")
