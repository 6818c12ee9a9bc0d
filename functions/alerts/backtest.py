"""A rule run over readings of the past, as it is and as it would be: by the engine that the job raises alarms with."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import numpy as np

from shared_code import alarm_rules
from shared_code.alarm_rules import Episode, Readings, is_suppressed
from shared_code.alarms import Severity
from shared_code.arrays import Floats, Integers
from shared_code.identifiers import CompressorId
from shared_code.thresholds import Thresholds

MONTH: Final = timedelta(days=30)
WARNED_WITHIN: Final = timedelta(days=14)
"""How long before a failure an alarm counts as a warning of it."""
MOST_LISTED: Final = 200
"""Of each list of alarms; what is counted is all."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class History:
    """Usable readings, sorted by machine and time: whose, when (us since 1970), and each sensor's values or NaN."""

    machines: Sequence[CompressorId]
    """By number."""
    machine: Integers
    at: Integers
    sensors: Mapping[str, Floats]

    def __len__(self) -> int:
        return len(self.at)


@dataclass(frozen=True, slots=True)
class Failure:
    """A breakdown that somebody recorded."""

    compressor_id: CompressorId
    at: datetime


def compare(
    history: History,
    name: str,
    as_it_is: Thresholds,
    as_it_would_be: Thresholds,
    *,
    start: datetime,
    end: datetime,
    failures: Sequence[Failure],
) -> dict[str, Any]:
    """Return what a rule raises in a period by either limits, and what the one tells that the other does not.

    Args:
        history: readings of the period, and of some time before it, from which open alarms and delays are known.
        name: of the rule.
        as_it_is: all limits, as they are.
        as_it_would_be: the same with the rule changed.
        start: of the period.
        end: of the period; what is later is not in `history`.
        failures: of the period.
    """
    shown = _shown(history)
    now, then = (_raised(history, name, limits, start) for limits in (as_it_is, as_it_would_be))
    in_period = history.at >= _microseconds(start)
    machines = len(np.unique(history.machine[in_period]))
    months = machines * ((end - start) / MONTH)
    return {
        "readings": int(np.count_nonzero(in_period)),
        "machines": machines,
        "as_it_is": _outcome(now, shown, months),
        "as_it_would_be": _outcome(then, shown, months),
        "gained": _listed(_not_told(then, now), shown),
        "lost": _listed(_not_told(now, then), shown),
        "failures": [
            {
                "compressor_id": failure.compressor_id,
                "event_date": failure.at,
                "hours_of_warning": _hours_of_warning(failure, now, history),
                "hours_of_warning_if_changed": _hours_of_warning(failure, then, history),
            }
            for failure in failures
        ],
    }


def _raised(history: History, name: str, limits: Thresholds, start: datetime) -> list[Episode]:
    """Return a rule's alarms that were raised in the period. All rules are judged, for they suppress each other."""
    channels = alarm_rules.with_derived(history.machine, history.at, history.sensors, limits)
    since = np.zeros(len(history.machines), dtype=np.int64)
    found = alarm_rules.judge(Readings(history.machine, history.at, channels, since), limits)
    return [episode for episode in found if episode.rule == name and episode.raised_at >= _microseconds(start)]


def _outcome(episodes: Sequence[Episode], shown: Callable[[Episode], dict[str, Any]], months: float) -> dict[str, Any]:
    told = [episode for episode in episodes if not is_suppressed(episode)]
    return {
        "alerts": len(told),
        "critical": sum(episode.critical_at is not None for episode in told),
        "suppressed": len(episodes) - len(told),
        "alerts_per_machine_month": len(told) / months if months else None,
        "episodes": _listed(episodes, shown),
    }


def _listed(episodes: Sequence[Episode], shown: Callable[[Episode], dict[str, Any]]) -> list[dict[str, Any]]:
    newest = sorted(episodes, key=lambda episode: (-episode.raised_at, episode.machine))
    return [shown(episode) for episode in newest[:MOST_LISTED]]


def _not_told(episodes: Sequence[Episode], others: Sequence[Episode]) -> list[Episode]:
    """Return those that were told, and that no other told one of their machine shares some time with."""
    told: dict[int, list[Episode]] = {}
    for other in others:
        if not is_suppressed(other):
            told.setdefault(other.machine, []).append(other)
    return [
        episode
        for episode in episodes
        if not is_suppressed(episode)
        and not any(
            other.onset_at <= episode.latest_at and episode.onset_at <= other.latest_at
            for other in told.get(episode.machine, ())
        )
    ]


def _hours_of_warning(failure: Failure, episodes: Sequence[Episode], history: History) -> float | None:
    """Return how long before a failure the first alarm of its machine was raised; None where there was none."""
    at = _microseconds(failure.at)
    earliest = _microseconds(failure.at - WARNED_WITHIN)
    raised = [
        episode.raised_at
        for episode in episodes
        if not is_suppressed(episode)
        and history.machines[episode.machine] == failure.compressor_id
        and earliest <= episode.raised_at < at
    ]
    return (at - min(raised)) / alarm_rules.HOUR_US if raised else None


def _shown(history: History) -> Callable[[Episode], dict[str, Any]]:
    def shown(episode: Episode) -> dict[str, Any]:
        grave = episode.critical_at is not None
        return {
            "compressor_id": history.machines[episode.machine],
            "onset_at": _instant(episode.onset_at),
            "alert_timestamp": _instant(episode.raised_at),
            "severity": Severity.CRITICAL if grave else Severity.WARNING,
            "critical_at": None if episode.critical_at is None else _instant(episode.critical_at),
            "peak_value": episode.peak_value,
            "peak_at": _instant(episode.peak_at),
            "latest_at": _instant(episode.latest_at),
            "cleared_at": None if episode.cleared_at is None else _instant(episode.cleared_at),
            "suppressed_by": episode.suppressed_by if is_suppressed(episode) else None,
        }

    return shown


def _microseconds(instant: datetime) -> int:
    return (instant - _EPOCH) // _MICROSECOND


def _instant(microseconds: int) -> datetime:
    return _EPOCH + microseconds * _MICROSECOND
