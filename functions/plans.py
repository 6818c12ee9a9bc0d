"""The plans: what each includes, as `config/plans.yaml` says."""

from collections.abc import Iterator, Mapping
from enum import StrEnum
from functools import cache
from typing import Annotated, NamedTuple

import expandvars
import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, TypeAdapter

from shared_code.database.tables.organizations import Tier
from shared_code.database.tables.readings import WindowType
from shared_code.errors import ForbiddenError
from shared_code.settings import CONFIG


class Period(StrEnum):
    """How long a payment lasts."""

    MONTH = "month"
    YEAR = "year"


def _price_ids(written: object) -> object:
    """Return the ids in a text with commas; `${VAR:-default}` in it takes from the environment."""
    if not isinstance(written, str):
        return written
    text = str(expandvars.expandvars(written))  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType] - it carries no types
    return [each.strip() for each in text.split(",") if each.strip()]


PriceIds = Annotated[tuple[str, ...], BeforeValidator(_price_ids)]


class Plan(BaseModel):
    """What one subscription tier includes; `max_compressors` None is no limit, prices are in US dollars.

    Of Stripe's prices of a period the first is sold; the others were, and those who bought them keep the plan.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    price_usd: int
    price_usd_year: int | None
    prices: Mapping[Period, PriceIds]
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


class Sold(NamedTuple):
    """What somebody gets who pays one of Stripe's prices."""

    tier: Tier
    period: Period


def sold() -> Mapping[str, Sold]:
    """Return what each of Stripe's prices is for, by its id."""
    return dict(_sold())


def _sold() -> Iterator[tuple[str, Sold]]:
    for tier, plan in plans().items():
        for period, ids in plan.prices.items():
            yield from ((each, Sold(tier, period)) for each in ids)


def price_for_sale(tier: Tier, period: Period) -> str | None:
    """Return the id of Stripe's price that a plan is sold at; None where it is not sold."""
    return next(iter(plans()[tier].prices.get(period, ())), None)


def require_window(tier: Tier, window: WindowType) -> None:
    """Let pass only windows that the plan includes.

    Raises:
        ForbiddenError: names the plan and those that include the window.
    """
    plan = plans()[tier]
    if window not in plan.windows:
        others = " and ".join(other.name for other in plans().values() if window in other.windows)
        raise ForbiddenError(f"the {plan.name} plan does not include the {window} window; {others} do")


def require_predictions(tier: Tier) -> None:
    """Let pass only where the plan includes predictions.

    Raises:
        ForbiddenError: names the plan and those that include them.
    """
    plan = plans()[tier]
    if not plan.predictions:
        others = " and ".join(other.name for other in plans().values() if other.predictions)
        raise ForbiddenError(f"the {plan.name} plan does not include predictions; {others} does")


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
