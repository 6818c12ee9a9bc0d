"""What kinds of alerts there are, in words that all programs and tables share."""

from enum import StrEnum


class AlertType(StrEnum):
    """What kind of evidence raised the alert."""

    THRESHOLD_WARNING = "threshold_warning"
    THRESHOLD_CRITICAL = "threshold_critical"
    ANOMALY = "anomaly"
    PREDICTION = "prediction"
    STALENESS = "staleness"


class Severity(StrEnum):
    """How grave an alert is."""

    WARNING = "warning"
    CRITICAL = "critical"
