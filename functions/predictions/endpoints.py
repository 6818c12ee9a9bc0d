"""Predictions over HTTP."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query

from functions import pagination
from functions.access.caller import CurrentCaller, ReadConnection
from functions.application import Now
from functions.pagination import DEFAULT_LIMIT, Cursor, Limit, Page
from functions.predictions import actions
from functions.predictions.schemas import (
    Prediction,
    PredictionDetail,
    PredictionPosition,
    PredictionQuality,
    detail_values,
    prediction_values,
)
from functions.problems import responses
from functions.readings.schemas import Instant
from functions.selection import Selection, selection
from functions.stations.schemas import Identifier
from shared_code.identifiers import CompressorId

router = APIRouter(tags=["predictions"])


@router.get("/predictions", operation_id="list_predictions", responses=responses(401, 403, 422))
def list_predictions(
    caller: CurrentCaller,
    connection: ReadConnection,
    fields: Annotated[Selection[Prediction], Depends(selection(Prediction))],
    alarm: Annotated[
        bool | None, Query(description="Only those that are an alarm, or only those that are not.")
    ] = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> Page[Prediction]:
    """List the newest prediction of each machine in order of id. The Enterprise plan includes it."""
    after = pagination.decode(cursor, PredictionPosition)
    rows = actions.list_predictions(
        connection,
        caller.organization_id,
        tier=caller.subscription_tier,
        alarm=alarm,
        after=CompressorId(after.compressor_id) if after else None,
        limit=limit + 1,
    )
    return pagination.page(
        rows,
        limit,
        item=lambda row: fields.item(prediction_values(row)),
        position=lambda row: PredictionPosition(compressor_id=row["compressor_id"]),
    )


@router.get(
    "/compressors/{compressor_id}/prediction", operation_id="get_prediction", responses=responses(401, 403, 404, 422)
)
def get_prediction(caller: CurrentCaller, connection: ReadConnection, compressor_id: Identifier) -> PredictionDetail:
    """Show what is foretold of one machine, and why. The Enterprise plan includes it."""
    row = actions.describe_prediction(
        connection, caller.organization_id, compressor_id=CompressorId(compressor_id), tier=caller.subscription_tier
    )
    return PredictionDetail.model_validate(detail_values(row))


@router.get("/predictions/quality", operation_id="assess_predictions", responses=responses(401, 403, 422))
def assess_predictions(
    caller: CurrentCaller,
    connection: ReadConnection,
    now: Now,
    start: Annotated[Instant | None, Query(description="From this on; 90 days before the end if not given.")] = None,
    end: Annotated[Instant | None, Query(description="Before this; now if not given.")] = None,
) -> PredictionQuality:
    """Say how well the organization's failures were foretold, and how often an alarm was false."""
    figures = actions.assess_predictions(
        connection, caller.organization_id, start=start, end=end, tier=caller.subscription_tier, now=now
    )
    return PredictionQuality.model_validate(figures)
