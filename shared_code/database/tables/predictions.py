"""What the models expect of a machine."""

from sqlalchemy import Column, ForeignKeyConstraint, Index, String, Table

from shared_code.database.tables.metadata import DOCUMENT, DOUBLE, INSTANT, metadata, organization_id

ml_predictions = Table(
    "ml_predictions",
    metadata,
    organization_id(),
    Column("compressor_id", String(50), primary_key=True),
    Column("prediction_timestamp", INSTANT, primary_key=True),
    Column("model_version", String(50), primary_key=True),
    Column("rul_days", DOUBLE),  # a lower bound of the remaining life; NULL where none can be stated
    Column("failure_probability", DOUBLE, nullable=False),
    Column("confidence_score", DOUBLE, nullable=False),
    Column("features_used", DOCUMENT, nullable=False),
    ForeignKeyConstraint(
        ["organization_id", "compressor_id"],
        ["compressor_metadata.organization_id", "compressor_metadata.compressor_id"],
    ),
    Index(None, "organization_id", "prediction_timestamp"),
    Index(None, "organization_id", "failure_probability"),
)
