// The rule without a node. `make test`
#include <assert.h>
#include <stdio.h>

#include "../src/rule.h"

static const settings RULES = {.limit = 50, .clear_margin = 0.1, .coverage = 0.75, .raise_after = 2, .clear_after = 3};

static place spot;
static uint64_t hour;

static decision next(double mean) { return on_hour(&spot, &RULES, ++hour * HOUR_MS, mean, 1.0); }

static void start(void) {
    spot = (place){0};
    hour = 0;
}

static void one_bad_hour_is_not_an_alert(void) {
    start();
    assert(next(51).alarm == NOTHING);
    assert(next(49).alarm == NOTHING);
    assert(next(51).alarm == NOTHING);
}

static void two_bad_hours_in_a_row_raise_and_three_good_ones_clear(void) {
    start();
    assert(next(51).alarm == NOTHING);
    assert(next(52).alarm == RAISE);
    assert(next(60).alarm == NOTHING);
    assert(next(44).alarm == NOTHING);
    assert(next(44).alarm == NOTHING);
    assert(next(44).alarm == CLEAR);
}

static void the_mean_of_a_day_needs_eighteen_hours(void) {
    start();
    for (int i = 0; i < 17; i++) assert(!next(10).has_day_mean);
    decision last = next(28);
    assert(last.has_day_mean && last.day_mean == 11);
}

int main(void) {
    one_bad_hour_is_not_an_alert();
    two_bad_hours_in_a_row_raise_and_three_good_ones_clear();
    the_mean_of_a_day_needs_eighteen_hours();
    puts("3 tests passed");
    return 0;
}
