#include "rule.h"

// Raised after some hours above the limit in a row, cleared after some well below it; an hour without
// enough data ends both counts.
static change step(place *place, const settings *settings, bool counts, double mean) {
    bool past = counts && mean > settings->limit;
    double margin = settings->limit * settings->clear_margin;
    bool clear = counts && !past && mean < settings->limit - margin;
    place->past = past ? place->past + 1 : 0;
    place->clear = clear ? place->clear + 1 : 0;
    if (place->past > settings->raise_after) place->past = settings->raise_after;
    if (place->clear > settings->clear_after) place->clear = settings->clear_after;
    if (!place->active && past && place->past >= settings->raise_after) {
        place->active = 1;
        return RAISE;
    }
    if (place->active && clear && place->clear >= settings->clear_after) {
        place->active = 0;
        return CLEAR;
    }
    return NOTHING;
}

static void note(place *place, bool counts, uint64_t end_ms, double mean) {
    uint64_t hour = end_ms / HOUR_MS;
    if (hour + DAY_HOURS <= place->newest_ms / HOUR_MS) return;
    place->end_ms[hour % DAY_HOURS] = counts ? end_ms : 0;
    place->mean[hour % DAY_HOURS] = counts ? mean : 0;
}

// Oldest hour first: the order of a sum decides its last digit.
static void day_mean(const place *place, decision *decision) {
    uint64_t newest = place->newest_ms / HOUR_MS;
    uint32_t hours = 0;
    double sum = 0;
    for (uint64_t back = DAY_HOURS; back-- > 0;) {
        if (back > newest) continue;
        uint64_t hour = newest - back, slot = hour % DAY_HOURS;
        if (place->end_ms[slot] == 0 || place->end_ms[slot] / HOUR_MS != hour) continue;
        sum += place->mean[slot];
        hours++;
    }
    if (hours < ENOUGH_HOURS) return;
    decision->has_day_mean = true;
    decision->day_mean = sum / hours;
}

decision on_hour(place *place, const settings *settings, uint64_t end_ms, double mean, double coverage) {
    decision decision = {NOTHING, false, 0};
    bool counts = coverage >= settings->coverage && __builtin_isfinite(mean);
    // An hour that is sent again, corrected, changes the mean of the day but is not a further hour
    // above the limit.
    if (end_ms > place->newest_ms) {
        place->newest_ms = end_ms;
        decision.alarm = step(place, settings, counts, mean);
    }
    note(place, counts, end_ms, mean);
    day_mean(place, &decision);
    return decision;
}
