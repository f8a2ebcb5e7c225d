// Fine dust of every hour and place: a warning when the hourly mean of PM10 stays above the lab's
// limit, and the running mean of 24 hours. Knows nothing of the node: see guest.ts.

export const HOUR_MS = 3_600_000;
const DAY_HOURS = 24;
/** Hours of a day that must count for its mean to count. */
const ENOUGH_HOURS = 18;

/** A limit with its patience, from the manifest. */
export interface Settings {
  limit: number;
  clearMargin: number;
  coverage: number;
  raiseAfter: number;
  clearAfter: number;
}

/** What the rule remembers of a place. */
export interface Place {
  newestMs: number;
  /** End and mean of the last 24 hours that count, oldest first. */
  hours: [number, number][];
  active: boolean;
  past: number;
  clear: number;
}

export interface Decision {
  alarm: "raise" | "clear" | null;
  dayMean: number | null;
}

export function newPlace(): Place {
  return { newestMs: 0, hours: [], active: false, past: 0, clear: 0 };
}

/** One more hour of a place. */
export function onHour(
  place: Place,
  settings: Settings,
  endMs: number,
  mean: number,
  coverage: number,
): Decision {
  const counted = coverage >= settings.coverage && Number.isFinite(mean) ? mean : null;
  let alarm: Decision["alarm"] = null;
  // An hour that is sent again, corrected, changes the mean of the day but is not a further hour
  // above the limit.
  if (endMs > place.newestMs) {
    place.newestMs = endMs;
    alarm = step(place, settings, counted);
  }
  note(place, endMs, counted);
  return { alarm, dayMean: dayMean(place) };
}

/**
 * Raised after some hours above the limit in a row, cleared after some well below it; an hour without
 * enough data ends both counts.
 */
function step(place: Place, settings: Settings, mean: number | null): Decision["alarm"] {
  const { limit, clearMargin, raiseAfter, clearAfter } = settings;
  const past = mean !== null && mean > limit;
  const clear = mean !== null && !past && mean < limit - limit * clearMargin;
  place.past = past ? Math.min(place.past + 1, raiseAfter) : 0;
  place.clear = clear ? Math.min(place.clear + 1, clearAfter) : 0;
  if (!place.active && past && place.past >= raiseAfter) {
    place.active = true;
    return "raise";
  }
  if (place.active && clear && place.clear >= clearAfter) {
    place.active = false;
    return "clear";
  }
  return null;
}

function note(place: Place, endMs: number, mean: number | null): void {
  const { hours, newestMs } = place;
  const oldest = newestMs - (DAY_HOURS - 1) * HOUR_MS;
  while (hours[0] && hours[0][0] < oldest) hours.shift();
  let at = hours.length;
  while (at > 0 && hours[at - 1]![0] >= endMs) at--;
  const known = hours[at]?.[0] === endMs ? 1 : 0;
  if (mean === null || endMs < oldest) hours.splice(at, known);
  else hours.splice(at, known, [endMs, mean]);
}

function dayMean(place: Place): number | null {
  if (place.hours.length < ENOUGH_HOURS) return null;
  return place.hours.reduce((sum, [, mean]) => sum + mean, 0) / place.hours.length;
}
