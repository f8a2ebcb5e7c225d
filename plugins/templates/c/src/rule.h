// Fine dust of every hour and place: a warning when the hourly mean of PM10 stays above the lab's
// limit, and the running mean of 24 hours. Knows nothing of the node: see guest.c.
#ifndef RULE_H
#define RULE_H
#include <stdbool.h>
#include <stdint.h>

#define HOUR_MS 3600000ull
enum { DAY_HOURS = 24, ENOUGH_HOURS = 18 };

// A limit with its patience, from the manifest.
typedef struct {
    double limit, clear_margin, coverage;
    uint32_t raise_after, clear_after;
} settings;

// What the rule remembers of a place; the bytes are the snapshot. No pointers, no padding.
typedef struct {
    uint64_t newest_ms;
    uint64_t end_ms[DAY_HOURS];  // by hour modulo 24; 0: that hour does not count
    double mean[DAY_HOURS];
    uint32_t asset, active, past, clear;
} place;
_Static_assert(sizeof(place) == 8 + 2 * 8 * DAY_HOURS + 4 * 4, "no padding");

typedef enum { NOTHING, RAISE, CLEAR } change;

// What an hour led to.
typedef struct {
    change alarm;
    bool has_day_mean;
    double day_mean;
} decision;

// One more hour of a place.
decision on_hour(place *place, const settings *settings, uint64_t end_ms, double mean, double coverage);

#endif
