"""What the models expect of a machine."""

from sqlalchemy import Column, ForeignKeyConstraint, Index, String, Table

from shared_code.database.tables.metadata import DOCUMENT, DOUBLE, INSTANT, metadata, organization_id
from shared_code.database.tables.readings import staging_of

ml_predictions = Table(
    "ml_predictions",
    metadata,
    organization_id(),
    Column("compressor_id", String(50), primary_key=True),
    Column("prediction_timestamp", INSTANT, primary_key=True),
    Column("model_version", String(50), primary_key=True),
    Column("rul_days", DOUBLE),  # a lower bound of the remaining life; NULL where none can be stated
    Column("failure_probability", DOUBLE),  # within a week; NULL where the hour tells nothing, here and below
    Column("confidence_score", DOUBLE),
    Column("features_used", DOCUMENT, nullable=False),
    Column("health", DOUBLE),  # how far the machine is from its usual self, in usual sizes
    Column("threshold", DOUBLE),  # from which on that is an alarm
    ForeignKeyConstraint(
        ["organization_id", "compressor_id"],
        ["compressor_metadata.organization_id", "compressor_metadata.compressor_id"],
    ),
    Index(None, "organization_id", "prediction_timestamp"),
    Index(None, "organization_id", "failure_probability"),
)

staging_ml_predictions = staging_of(ml_predictions)
