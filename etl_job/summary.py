"""What a run did, in numbers that add up."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from etl_job.fleet import Refused


@dataclass(slots=True)
class Summary:
    """Counts of one run.

    `rows_read` is `rows_written + rows_repeated + rows_quarantined`, exactly. A file that cannot be read counts as
    one row. Rows of earlier runs that a correction put aside are `rows_superseded` and belong to no other count.
    """

    files_read: int = 0
    rows_read: int = 0
    rows_written: int = 0
    rows_repeated: int = 0
    rows_quarantined: int = 0
    rows_superseded: int = 0
    rows_flagged: int = 0
    fleet_overruled: int = 0
    """Rows of metadata files that say something else than what people made of the station or machine."""
    windows_published: int = 0
    quality_metrics_published: int = 0
    alerts_published: int = 0
    predictions_published: int = 0
    quarantined: Counter[str] = field(default_factory=Counter[str])
    flagged: Counter[str] = field(default_factory=Counter[str])
    notes: Counter[str] = field(default_factory=Counter[str])
    fleet_refused: list[Refused] = field(default_factory=list[Refused])
    seconds: Counter[str] = field(default_factory=Counter[str])

    @property
    def adds_up(self) -> bool:
        """Whether every row read went somewhere."""
        return self.rows_read == self.rows_written + self.rows_repeated + self.rows_quarantined

    @property
    def something_was_kept_aside(self) -> bool:
        """Whether somebody should look at the input."""
        return bool(self.rows_quarantined or self.rows_superseded or self.fleet_refused)

    def add(self, other: "Summary") -> None:
        """Add the counts of a batch."""
        for name, value in other.counts().items():
            setattr(self, name, getattr(self, name) + value)
        for name in ("quarantined", "flagged", "notes", "seconds"):
            getattr(self, name).update(getattr(other, name))
        self.fleet_refused.extend(other.fleet_refused)

    def counts(self) -> dict[str, int]:
        """Return the plain counts by name."""
        return {name: getattr(self, name) for name in self.__slots__ if isinstance(getattr(self, name), int)}

    def as_json(self) -> Mapping[str, Any]:
        """Return everything, ready for `json.dumps`."""
        return {
            **self.counts(),
            "quarantined": dict(self.quarantined),
            "flagged": {name: count for name, count in self.flagged.items() if count},
            "notes": dict(self.notes),
            "fleet_refused": [
                {"source_file": row.source_file, "row_number": row.row_number, "reason": row.reason}
                for row in self.fleet_refused
            ],
            "seconds": {stage: round(seconds, 3) for stage, seconds in self.seconds.items()},
        }
