"""Fine dust of every hour and place: a warning when the hourly mean of PM10 stays above the lab's
limit, and the running mean of 24 hours. Knows nothing of the node: see guest.py."""

from dataclasses import dataclass, field
from math import isfinite

HOUR_MS = 3_600_000
DAY_HOURS = 24
# Hours of a day that must count for its mean to count.
ENOUGH_HOURS = 18


@dataclass
class Settings:
    """A limit with its patience, from the manifest."""

    limit: float
    clear_margin: float
    coverage: float
    raise_after: int
    clear_after: int


@dataclass
class Place:
    """What the rule remembers of a place; `hours`: means of the last 24 hours that count, by end."""

    newest_ms: int = 0
    hours: dict[int, float] = field(default_factory=dict)
    active: bool = False
    past: int = 0
    clear: int = 0


def on_hour(place: Place, settings: Settings, end_ms: int, mean: float, coverage: float):
    """One more hour of a place: ("raise", "clear" or None, the mean of the day or None)."""
    counted = mean if coverage >= settings.coverage and isfinite(mean) else None
    alarm = None
    # An hour that is sent again, corrected, changes the mean of the day but is not a further hour
    # above the limit.
    if end_ms > place.newest_ms:
        place.newest_ms = end_ms
        alarm = step(place, settings, counted)
    note(place, end_ms, counted)
    return alarm, day_mean(place)


def step(place: Place, settings: Settings, mean: float | None) -> str | None:
    """Raised after some hours above the limit in a row, cleared after some well below it; an hour
    without enough data ends both counts."""
    past = mean is not None and mean > settings.limit
    well_below = settings.limit - settings.limit * settings.clear_margin
    clear = mean is not None and not past and mean < well_below
    place.past = min(place.past + 1, settings.raise_after) if past else 0
    place.clear = min(place.clear + 1, settings.clear_after) if clear else 0
    if not place.active and past and place.past >= settings.raise_after:
        place.active = True
        return "raise"
    if place.active and clear and place.clear >= settings.clear_after:
        place.active = False
        return "clear"
    return None


def note(place: Place, end_ms: int, mean: float | None) -> None:
    place.hours.pop(end_ms, None)
    if mean is not None:
        place.hours[end_ms] = mean
    oldest = place.newest_ms - (DAY_HOURS - 1) * HOUR_MS
    place.hours = {end: mean for end, mean in place.hours.items() if end >= oldest}


def day_mean(place: Place) -> float | None:
    if len(place.hours) < ENOUGH_HOURS:
        return None
    total = 0.0
    # Oldest first, one by one: the order of a sum decides its last digit.
    for end_ms in sorted(place.hours):
        total += place.hours[end_ms]
    return total / len(place.hours)
