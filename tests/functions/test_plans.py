import pytest

from functions.plans import plans, require_window
from shared_code.database.tables.organizations import Tier
from shared_code.database.tables.readings import WindowType
from shared_code.errors import ForbiddenError


def test_the_plans_are_those_we_sell() -> None:
    sold = {
        tier.value: (plan.price_usd, plan.max_compressors, len(plan.windows), plan.retention_days, plan.predictions)
        for tier, plan in plans().items()
    }

    assert sold == {
        "free": (0, 2, 1, 7, False),
        "pro": (49, 20, 3, 90, False),
        "enterprise": (199, None, 3, 365, True),
    }


def test_free_has_the_hourly_window_alone() -> None:
    require_window(Tier.FREE, WindowType.HOUR)
    for window in (WindowType.FOUR_HOURS, WindowType.DAY):
        with pytest.raises(ForbiddenError, match="Free plan"):
            require_window(Tier.FREE, window)


@pytest.mark.parametrize("tier", [Tier.PRO, Tier.ENTERPRISE])
def test_whoever_pays_has_every_window(tier: Tier) -> None:
    for window in WindowType:
        require_window(tier, window)
