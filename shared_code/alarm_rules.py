"""When an alarm is raised and when it is over: pure rules from arrays of readings to episodes.

An episode is one problem of one machine, from its onset to its end. It is raised when the value has been beyond the
warning limit for the on-delay, and over when it has been back within the limit, by the deadband, for the off-delay.
A value that is not there says nothing; a longer gap ends a delay that has begun, and no alarm.

The names are those of ISA-18.2 and OPC UA Part 9.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from shared_code.arrays import HOUR_US, Booleans, Floats, Integers
from shared_code.readings import DIFFERENTIAL, DISTANCE, SENSOR_FIELDS, TEMPERATURE_RATE, UNCHANGED
from shared_code.thresholds import AlarmRule, AlarmRules, Priority, Side, Thresholds

MINUTE_US: Final = 60_000_000
NEVER: Final = np.iinfo(np.int64).max
"""Stands for an instant that has not come."""
TOO_MANY: Final = "most_open"
"""Why an alarm is suppressed that no other rule makes needless."""
LONGEST_UNCHANGED: Final = 12.0
"""Hours; with the longest off-delay, readings of the day before are enough."""
URGENCY: Final = tuple(reversed(Priority))


@dataclass(frozen=True, slots=True)
class Episode:
    """One problem of one machine; instants in us since 1970, values in the channel's unit."""

    machine: int
    rule: str
    onset_at: int
    raised_at: int
    critical_at: int | None
    latest_at: int
    latest_value: float
    peak_at: int
    peak_value: float
    cleared_at: int | None
    group_at: int
    suppressed_by: str | None


@dataclass(frozen=True, slots=True)
class Readings:
    """Readings by machine and time, and from when on each machine's are judged anew.

    Those before `since` are there for what has to be known of the past: no less than a day.
    """

    machine: Integers
    at: Integers
    channels: Mapping[str, Floats]
    since: Integers
    """Of each machine, by its number."""


def judge(readings: Readings, limits: Thresholds, known: Iterable[Episode] = ()) -> list[Episode]:
    """Return the episodes of the time from `since` on, in order; those that were open before go on.

    Args:
        readings: of whole machines.
        limits: from `config/thresholds.yaml`.
        known: what was found before of these machines and is not over before `since`.
    """
    open_before = [episode for episode in known if episode.raised_at < readings.since[episode.machine]]
    found: list[Episode] = []
    for name, rule in limits.alarms.rules.items():
        its_own = [episode for episode in open_before if episode.rule == name]
        if rule.enabled:
            found += _episodes(readings, name, rule, limits, its_own)
        else:
            found += [_ended(episode, readings) for episode in its_own]
    return _told_once(found, {(episode.machine, episode.rule, episode.raised_at) for episode in open_before}, limits)


def with_derived(
    machine: Integers, at: Integers, sensors: Mapping[str, Floats], limits: Thresholds
) -> Mapping[str, Floats]:
    """Return all that rules look at: the sensors' values, NaN where there is none, and what is derived from them.

    Args:
        machine: whose each reading is, by number, sorted by machine and time.
        at: when it was taken, us since 1970.
        sensors: its values by field; the distance from the usual self among them, where that is known.
        limits: from `config/thresholds.yaml`.
    """
    temperature, minutes = sensors["discharge_temp_f"], limits.alarms.rate_minutes
    near, fewest = limits.quality.spike_neighbour_minutes, limits.quality.stuck_min_readings
    return {
        DISTANCE: np.full(len(at), np.nan),
        **sensors,
        DIFFERENTIAL: sensors["discharge_pressure_psi"] - sensors["suction_pressure_psi"],
        TEMPERATURE_RATE: rate_per_hour(machine, at, temperature, minutes),
        **{
            UNCHANGED[field]: unchanged_hours(machine, at, sensors[field], gap_minutes=near, readings=fewest)
            for field in SENSOR_FIELDS
        },
    }


def rate_per_hour(machine: Integers, at: Integers, values: Floats, minutes: float) -> Floats:
    """Return how fast each value has changed over the last so many minutes, per hour.

    It is compared with the newest usable value that is so old and no older than twice that; NaN where there is none.
    """
    rates = np.full(len(values), np.nan)
    rows = np.flatnonzero(~np.isnan(values))
    if not len(rows):
        return rates
    # One number for machine and time, with room between machines, in ms so that many machines fit.
    reach = int(minutes * 60_000)
    when = at[rows] // 1000 - at.min() // 1000
    line = machine[rows] * (when.max() + 2 * reach + 1) + when
    before = np.asarray(np.searchsorted(line, line - reach, side="right"), dtype=np.int64) - 1
    elapsed = line - line[before]
    known = (before >= 0) & (elapsed >= reach) & (elapsed <= 2 * reach) & (machine[rows[before]] == machine[rows])
    now, then = rows[known], rows[before[known]]
    rates[now] = (values[now] - values[then]) / ((at[now] - at[then]) / HOUR_US)
    return rates


def unchanged_hours(machine: Integers, at: Integers, values: Floats, *, gap_minutes: float, readings: int) -> Floats:
    """Return for how many hours each value has been the same to the last digit; NaN where there is none.

    That is 0 until so many readings have said it, and never more than half a day: what an alarm is must not depend on
    readings much older. Zero is what a sensor says of a machine that stands, and is never counted.
    """
    hours = np.full(len(values), np.nan)
    rows = np.flatnonzero(~np.isnan(values))
    of, when, known = machine[rows], at[rows], values[rows]
    same = np.zeros(len(rows), dtype=bool)
    same[1:] = (of[1:] == of[:-1]) & (np.diff(when) <= gap_minutes * MINUTE_US) & (known[1:] == known[:-1])
    lasts, first = held(known != 0, same, when, delay=0, readings=readings)
    hours[rows] = np.where(lasts, np.minimum((when - when[first]) / HOUR_US, LONGEST_UNCHANGED), 0.0)
    return hours


def held(
    condition: Booleans, connected: Booleans, at: Integers, *, delay: float, readings: int
) -> tuple[Booleans, Integers]:
    """Return where a condition has held for a delay (minutes) and so many readings, and where that run began."""
    goes_on = connected & condition
    goes_on[1:] &= condition[:-1]
    goes_on[:1] = False
    place = np.arange(len(condition))
    first = np.maximum.accumulate(np.where(goes_on, 0, place)) if len(place) else place
    lasted = (at - at[first] >= delay * MINUTE_US) & (place - first + 1 >= readings)
    return condition & lasted, first


def _episodes(
    readings: Readings, name: str, rule: AlarmRule, limits: Thresholds, open_before: Sequence[Episode]
) -> list[Episode]:
    alarms = limits.alarms
    warning, critical = limits.limits_of(rule)
    usable = np.flatnonzero(~np.isnan(readings.channels[rule.channel]))
    values, machine, at = readings.channels[rule.channel][usable], readings.machine[usable], readings.at[usable]
    # How far beyond: from here on higher is worse, whichever side is bad.
    sign = 1.0 if rule.side is Side.ABOVE else -1.0
    badness = sign * values
    connected = np.zeros(len(at), dtype=bool)
    connected[1:] = (machine[1:] == machine[:-1]) & (np.diff(at) <= alarms.gap_minutes * MINUTE_US)
    on, began = held(badness > sign * warning, connected, at, delay=rule.on_delay_minutes, readings=1)
    if not (on.any() or open_before):
        return []
    off, _ = held(
        badness <= sign * warning - rule.deadband,
        connected,
        at,
        delay=rule.off_delay_minutes,
        readings=alarms.normal_readings,
    )
    grave = np.zeros(len(at), dtype=bool)
    if critical is not None:
        grave, _ = held(badness > sign * critical, connected, at, delay=rule.on_delay_minutes, readings=1)
    new = at >= readings.since[machine]
    line = _Line(
        machine=machine,
        at=at,
        badness=badness,
        # What is known already is not judged again: before, nothing is open but what `open_before` says.
        state=np.where(~new | (off & ~on), 0, np.where(on, 1, -1)).astype(np.int8),
        began=began,
        grave=grave & new,
        carried=np.full(len(at), -1),
    ).with_carried(open_before, sign, readings.since)
    return line.episodes(name, sign, open_before)


def _ended(episode: Episode, readings: Readings) -> Episode:
    """Return an episode that ends where its rule was found to be switched off, if it was not over already."""
    if episode.cleared_at is not None:
        return episode
    return replace(episode, cleared_at=max(int(readings.since[episode.machine]), episode.latest_at))


@dataclass(frozen=True, slots=True)
class _Line:
    """Usable values of one rule, by machine and time, and episodes carried over, each a row before the new ones."""

    machine: Integers
    at: Integers
    badness: Floats
    state: npt.NDArray[np.int8]
    """1 where the alarm is certainly open, 0 where it certainly is not, -1 where it is as it was."""
    began: Integers
    """The row where the run began that a row stands in."""
    grave: Booleans
    carried: Integers
    """Which of the carried episodes a row stands for, or -1."""

    def with_carried(self, episodes: Sequence[Episode], sign: float, since: Integers) -> "_Line":
        """Return the line with these episodes on it; a peak that may have changed is looked for again."""
        if not episodes:
            return self
        count = len(episodes)
        of = np.array([episode.machine for episode in episodes])
        unknown = [max(episode.peak_at, episode.latest_at) >= since[episode.machine] for episode in episodes]
        peaks = [-np.inf if again else sign * e.peak_value for e, again in zip(episodes, unknown, strict=True)]
        machine = np.concatenate([self.machine, of])
        at = np.concatenate([self.at, since[of]])
        carried = np.concatenate([self.carried, np.arange(count)])
        order = np.lexsort((carried < 0, at, machine))
        place = np.empty_like(order)
        place[order] = np.arange(len(order))
        return _Line(
            machine=machine[order],
            at=at[order],
            badness=np.concatenate([self.badness, peaks])[order],
            state=np.concatenate([self.state, np.ones(count, dtype=np.int8)])[order],
            began=place[np.concatenate([self.began, np.arange(len(self.began), len(at))])][order],
            grave=np.concatenate([self.grave, np.zeros(count, dtype=bool)])[order],
            carried=carried[order],
        )

    def episodes(self, name: str, sign: float, open_before: Sequence[Episode]) -> list[Episode]:
        """Return the episodes on this line."""
        place = np.arange(len(self.at))
        opens_machine = np.ones(len(self.at), dtype=bool)
        opens_machine[1:] = self.machine[1:] != self.machine[:-1]
        certain = opens_machine | (self.state >= 0)
        is_open = self.state[np.maximum.accumulate(np.where(certain, place, 0))] == 1
        starts = is_open.copy()
        starts[1:] &= opens_machine[1:] | ~is_open[:-1]
        ends = is_open.copy()
        ends[:-1] &= opens_machine[1:] | ~is_open[1:]
        first, last = np.flatnonzero(starts), np.flatnonzero(ends)
        found: list[Episode] = []
        for raised, until in zip(first.tolist(), last.tolist(), strict=True):
            over = until + 1 < len(place) and not opens_machine[until + 1]
            carried = int(self.carried[raised])
            before = open_before[carried] if carried >= 0 else None
            found.append(self._episode(name, sign, raised, until, int(self.at[until + 1]) if over else None, before))
        return found

    def _episode(
        self, name: str, sign: float, raised: int, last: int, cleared_at: int | None, before: Episode | None
    ) -> Episode:
        start = int(self.began[raised])
        if before is not None and self.badness[raised] == -np.inf:
            machine_start = int(np.argmax(self.machine == self.machine[raised]))
            start = machine_start + int(np.count_nonzero(self.at[machine_start:raised] < before.onset_at))
        rows = slice(start, last + 1)
        peak = start + int(np.argmax(self.badness[rows]))
        grave = np.flatnonzero(self.grave[raised : last + 1])
        critical_at = int(self.at[raised + grave[0]]) if len(grave) else None
        measured = np.flatnonzero(self.carried[rows] < 0)
        latest = start + int(measured[-1]) if len(measured) else None
        if before is None:
            return Episode(
                machine=int(self.machine[raised]),
                rule=name,
                onset_at=int(self.at[start]),
                raised_at=int(self.at[raised]),
                critical_at=critical_at,
                latest_at=int(self.at[last]),
                latest_value=float(sign * self.badness[last]),
                peak_at=int(self.at[peak]),
                peak_value=float(sign * self.badness[peak]),
                cleared_at=cleared_at,
                group_at=int(self.at[raised]),
                suppressed_by=None,
            )
        since = int(self.at[raised])
        was_critical = before.critical_at if before.critical_at is not None and before.critical_at < since else None
        goes_on = replace(
            before, critical_at=critical_at if was_critical is None else was_critical, cleared_at=cleared_at
        )
        if latest is not None:
            latest_value = float(sign * self.badness[latest])
            goes_on = replace(goes_on, latest_at=int(self.at[latest]), latest_value=latest_value)
        if self.carried[peak] < 0:
            peak_value = float(sign * self.badness[peak])
            goes_on = replace(goes_on, peak_at=int(self.at[peak]), peak_value=peak_value)
        return goes_on


def _told_once(found: Iterable[Episode], decided: set[tuple[int, str, int]], limits: Thresholds) -> list[Episode]:
    """Put episodes that came together into groups, and suppress those that tell nothing new.

    Both are decided when an alarm is raised, by what was open then.
    """
    alarms = limits.alarms

    def in_order(episode: Episode) -> tuple[int, int, int, str]:
        return episode.machine, episode.raised_at, _urgency(episode, alarms), episode.rule

    told: list[Episode] = []
    standing: list[Episode] = []
    for episode in sorted(found, key=in_order):
        standing = [
            other
            for other in standing
            if other.machine == episode.machine and (other.cleared_at is None or other.cleared_at > episode.raised_at)
        ]
        if (episode.machine, episode.rule, episode.raised_at) not in decided:
            episode = replace(  # noqa: PLW2901 - the same, with what is decided
                episode,
                group_at=_group(episode, standing, alarms),
                suppressed_by=_suppressed_by(episode, standing, alarms),
            )
        standing.append(episode)
        told.append(episode)
    return told


def _group(episode: Episode, standing: Sequence[Episode], alarms: AlarmRules) -> int:
    near = episode.raised_at - int(alarms.group_minutes * MINUTE_US)
    return next((other.group_at for other in reversed(standing) if other.raised_at >= near), episode.raised_at)


def _suppressed_by(episode: Episode, standing: Sequence[Episode], alarms: AlarmRules) -> str | None:
    rules = {other.rule for other in standing}
    inhibiting = [name for name in alarms.rules[episode.rule].inhibited_by if name in rules]
    if inhibiting:
        return inhibiting[0]
    shown = sum(
        _urgency(other, alarms) <= _urgency(episode, alarms) and not is_suppressed(other, at=episode.raised_at)
        for other in standing
    )
    return TOO_MANY if shown >= alarms.most_open else None


def _urgency(episode: Episode, alarms: AlarmRules) -> int:
    """Return the place of an alarm's priority, 0 for the most urgent: those of sensors hide none of the machine's."""
    return URGENCY.index(alarms.rules[episode.rule].priority)


def is_suppressed(episode: Episode, *, at: int = NEVER) -> bool:
    """Whether an episode was not shown at an instant (us); what is critical is always shown, but for its cause."""
    if episode.suppressed_by != TOO_MANY:
        return episode.suppressed_by is not None
    return episode.critical_at is None or episode.critical_at > at
