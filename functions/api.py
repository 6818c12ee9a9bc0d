"""The HTTP API, put together."""

from collections.abc import Callable
from functools import cache
from typing import Any, Final

from fastapi import APIRouter, FastAPI
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import BaseRoute

from functions import problems, revalidation
from functions.access import endpoints as access
from functions.access import guards
from functions.alerts import endpoints as alerts
from functions.application import Application
from functions.billing import endpoints as billing
from functions.clock import Clock, utc_clock
from functions.compressors import endpoints as compressors
from functions.data_quality import endpoints as data_quality
from functions.documentation import endpoints as documentation
from functions.envelope import Envelope, Failures, Orderly
from functions.fleet import endpoints as fleet
from functions.health import endpoints as health
from functions.kept_answers import open_kept_answers
from functions.limits.limits import Limits
from functions.limits.middleware import LimitAddresses
from functions.maintenance import endpoints as maintenance
from functions.notifications import endpoints as notifications
from functions.organizations import endpoints as organizations
from functions.predictions import endpoints as predictions
from functions.readings import endpoints as readings
from functions.settings import Settings
from functions.stations import endpoints as stations
from functions.workflows import endpoints as workflows
from shared_code.database.engines import Database

ROUTERS: Final[tuple[APIRouter, ...]] = (
    health.router,
    access.router,
    fleet.router,
    stations.router,
    compressors.router,
    readings.router,
    alerts.router,
    data_quality.router,
    predictions.router,
    maintenance.router,
    workflows.router,
    notifications.router,
    organizations.router,
    billing.router,
    documentation.router,
)

CROSS_ORIGIN: Final[dict[str, Any]] = {
    "allow_credentials": False,  # a page elsewhere sends a bearer token; the cookie is for our own pages
    "allow_methods": ("GET", "HEAD", "POST", "PATCH", "DELETE"),
    "allow_headers": ("Authorization", "Content-Type", "Idempotency-Key", "If-Match", "If-None-Match"),
    "expose_headers": (
        "ETag",
        "Idempotency-Replayed",
        "Location",
        "RateLimit",
        "RateLimit-Policy",
        "Retry-After",
        "X-Request-Id",
    ),
}
"""What pages of the origins in CORS_ALLOWED_ORIGINS may ask and read."""


def create_app(settings: Settings, database: Callable[[], Database], *, clock: Clock = utc_clock) -> FastAPI:
    """Return the API; `database` is called when a request first needs it.

    There is no lifespan: the Functions host never runs one to its end, so nothing may depend on it.

    Raises:
        ValueError: an operation is not guarded as the table of roles says.
    """
    app = FastAPI(
        title="Altaviz",
        description="Predictive maintenance for natural-gas compressors. Times are ISO 8601 in UTC.",
        version="1.0",
        openapi_url=None,  # served by an operation like all others
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        routes=_routes(),
    )
    limits = Limits(settings, database)
    answers = open_kept_answers(settings.cache)
    app.state.application = Application(settings, database, clock, limits, answers)
    problems.register(app)
    app.add_exception_handler(revalidation.AnswerKnownError, revalidation.known)
    app.add_middleware(revalidation.Revalidation, kept=answers)
    # From the inside out: a refusal and a failure, too, are answers that another site's page may read.
    app.add_middleware(LimitAddresses, limits=limits, clock=clock)
    app.add_middleware(Failures)
    if settings.edge.cors_allowed_origins:
        app.add_middleware(CORSMiddleware, allow_origins=settings.edge.cors_allowed_origins, **CROSS_ORIGIN)
    app.add_middleware(Envelope)
    app.add_middleware(Orderly)
    return app


@cache
def _routes() -> list[BaseRoute]:
    """Return all routes, put together and checked once: that takes longer than all else an application is made of."""
    together = APIRouter()
    for router in ROUTERS:
        together.include_router(router, prefix=problems.PREFIX)
    guards.refuse_unguarded(together)
    return together.routes
