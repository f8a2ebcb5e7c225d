// Binds the rule to `quartier:rule`: looks names up once, gives the rule its rows, collects what it
// says. What a function is given belongs to it and is freed by it; what it returns the bindings free.
#include <stdlib.h>
#include <string.h>

#include "lab_rule.h"
#include "rule.h"

typedef exports_quartier_rule_rule_rule_error_t rule_error;

enum { STATE_VERSION = 1 };

static settings rules;
static uint32_t pm10, pm10_24h, pm10_high;
// Sorted by asset, so that the same state is the same bytes.
static place *places;
static size_t count, room;

static bool refuse(rule_error *error, uint8_t tag, const char *why) {
    error->tag = tag;
    lab_rule_string_dup(&error->val.internal, why);
    return false;
}

static bool bad_config(rule_error *error, const char *key) {
    return refuse(error, QUARTIER_RULE_TYPES_RULE_ERROR_BAD_CONFIG, key);
}

static bool is(const lab_rule_string_t *text, const char *other) {
    return text->len == strlen(other) && memcmp(text->ptr, other, text->len) == 0;
}

static bool id_of(const quartier_rule_types_list_entry_t *entries, const char *urn, uint32_t *id) {
    for (size_t i = 0; i < entries->len; i++) {
        if (!is(&entries->ptr[i].urn, urn)) continue;
        *id = entries->ptr[i].id;
        return true;
    }
    return false;
}

// A decimal number without sign and exponent, such as 0.75; false for anything else.
static bool number(const lab_rule_list_tuple2_string_string_t *config, const char *key, double *value) {
    for (size_t i = 0; i < config->len; i++) {
        if (!is(&config->ptr[i].f0, key)) continue;
        const lab_rule_string_t *text = &config->ptr[i].f1;
        double digits = 0, scale = 1;
        bool point = false;
        for (size_t at = 0; at < text->len; at++) {
            uint8_t c = text->ptr[at];
            if (c == '.' && !point && at > 0) {
                point = true;
            } else if (c >= '0' && c <= '9') {
                digits = digits * 10 + (c - '0');
                if (point) scale *= 10;
            } else {
                return false;
            }
        }
        *value = digits / scale;
        return text->len > 0;
    }
    return false;
}

bool exports_quartier_rule_rule_init(exports_quartier_rule_rule_dictionary_t *dict,
                                     lab_rule_list_tuple2_string_string_t *config, rule_error *error) {
    double raise_after = 0, clear_after = 0;
    bool good = true;
    if (!id_of(&dict->metrics, "pm10", &pm10)) good = bad_config(error, "metric pm10");
    else if (!id_of(&dict->metrics, "pm10_24h", &pm10_24h)) good = bad_config(error, "metric pm10_24h");
    else if (!id_of(&dict->topics, "pm10_high", &pm10_high)) good = bad_config(error, "topic pm10_high");
    else if (!number(config, "limit.pm10_high.1", &rules.limit)) good = bad_config(error, "limit.pm10_high.1");
    else if (!number(config, "coverage", &rules.coverage)) good = bad_config(error, "coverage");
    else if (!number(config, "clear_margin", &rules.clear_margin)) good = bad_config(error, "clear_margin");
    else if (!number(config, "raise_after", &raise_after) || raise_after < 1 || raise_after > 100000)
        good = bad_config(error, "raise_after");
    else if (!number(config, "clear_after", &clear_after) || clear_after < 1 || clear_after > 100000)
        good = bad_config(error, "clear_after");
    rules.raise_after = (uint32_t)raise_after;
    rules.clear_after = (uint32_t)clear_after;
    exports_quartier_rule_rule_dictionary_free(dict);
    lab_rule_list_tuple2_string_string_free(config);
    return good;
}

// Where an asset stands, or would.
static size_t position(uint32_t asset) {
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (places[middle].asset < asset) low = middle + 1;
        else high = middle;
    }
    return low;
}

static place *place_of(uint32_t asset) {
    size_t at = position(asset);
    if (at < count && places[at].asset == asset) return &places[at];
    if (count == room) {
        room = room ? room * 2 : 16;
        places = realloc(places, room * sizeof(place));
    }
    memmove(&places[at + 1], &places[at], (count - at) * sizeof(place));
    memset(&places[at], 0, sizeof(place));
    places[at].asset = asset;
    count++;
    return &places[at];
}

static void forget(uint32_t asset) {
    size_t at = position(asset);
    if (at == count || places[at].asset != asset) return;
    count--;
    memmove(&places[at], &places[at + 1], (count - at) * sizeof(place));
}

static void derive(quartier_rule_types_derived_t *derived, uint32_t asset, double value, uint64_t ts_ms) {
    size_t at = derived->asset.len;
    derived->asset.ptr[at] = asset;
    derived->metric.ptr[at] = pm10_24h;
    derived->value.ptr[at] = value;
    derived->ts_ms.ptr[at] = ts_ms;
    derived->asset.len = derived->metric.len = derived->value.len = derived->ts_ms.len = at + 1;
}

static void alert(quartier_rule_types_list_alert_t *alerts, uint32_t asset, bool raise, double value,
                  size_t row) {
    quartier_rule_types_alert_t *alert = &alerts->ptr[alerts->len++];
    *alert = (quartier_rule_types_alert_t){
        .asset = asset,
        .topic = pm10_high,
        .severity = raise ? QUARTIER_RULE_TYPES_SEVERITY_WARNING : QUARTIER_RULE_TYPES_SEVERITY_INFO,
        .code = 1,
        .raise = raise,
        .value = value,
        .cause = (uint32_t)row,
    };
    alert->text.is_some = true;
    lab_rule_string_dup(&alert->text.val, raise ? "PM10: hourly mean above the limit"
                                                : "PM10: hourly mean well below the limit");
}

// Room for the answer to so many rows; `trim` gives back what was not needed.
static void prepare(exports_quartier_rule_rule_output_t *output, size_t rows) {
    memset(output, 0, sizeof *output);
    if (rows == 0) return;
    output->derived.asset.ptr = calloc(rows, sizeof(uint32_t));
    output->derived.metric.ptr = calloc(rows, sizeof(uint32_t));
    output->derived.value.ptr = calloc(rows, sizeof(double));
    output->derived.ts_ms.ptr = calloc(rows, sizeof(uint64_t));
    output->alerts.ptr = calloc(rows, sizeof(quartier_rule_types_alert_t));
}

// The bindings free a list only where it is not empty.
static void trim(exports_quartier_rule_rule_output_t *output) {
    if (output->derived.asset.len == 0) {
        free(output->derived.asset.ptr);
        free(output->derived.metric.ptr);
        free(output->derived.value.ptr);
        free(output->derived.ts_ms.ptr);
    }
    if (output->alerts.len == 0) free(output->alerts.ptr);
}

bool exports_quartier_rule_rule_on_batch(exports_quartier_rule_rule_batch_t *readings,
                                         exports_quartier_rule_rule_windows_t *windows,
                                         exports_quartier_rule_rule_twin_view_t *twin,
                                         exports_quartier_rule_rule_output_t *output, rule_error *error) {
    (void)error;
    prepare(output, windows->asset.len);
    for (size_t i = 0; i < windows->asset.len; i++) {
        if (windows->metric.ptr[i] != pm10 || windows->span_s.ptr[i] != 3600) continue;
        uint32_t asset = windows->asset.ptr[i];
        double mean = windows->mean.ptr[i];
        place *place = place_of(asset);
        decision decided = on_hour(place, &rules, windows->end_ms.ptr[i], mean, windows->coverage.ptr[i]);
        // A row's number counts the readings before the windows.
        size_t row = readings->asset.len + i;
        if (decided.alarm != NOTHING) alert(&output->alerts, asset, decided.alarm == RAISE, mean, row);
        if (decided.has_day_mean) derive(&output->derived, asset, decided.day_mean, place->newest_ms);
    }
    trim(output);
    exports_quartier_rule_rule_batch_free(readings);
    exports_quartier_rule_rule_windows_free(windows);
    exports_quartier_rule_rule_twin_view_free(twin);
    return true;
}

bool exports_quartier_rule_rule_on_assets(exports_quartier_rule_rule_list_asset_t *changed, rule_error *error) {
    (void)error;
    for (size_t i = 0; i < changed->len; i++)
        if (changed->ptr[i].kind.len == 0) forget(changed->ptr[i].id);
    exports_quartier_rule_rule_list_asset_free(changed);
    return true;
}

bool exports_quartier_rule_rule_on_tick(uint64_t now_ms, exports_quartier_rule_rule_output_t *output,
                                        rule_error *error) {
    (void)now_ms, (void)error;
    prepare(output, 0);
    return true;
}

void exports_quartier_rule_rule_snapshot(lab_rule_list_u8_t *state) {
    state->len = 1 + count * sizeof(place);
    state->ptr = malloc(state->len);
    state->ptr[0] = STATE_VERSION;
    memcpy(state->ptr + 1, places, count * sizeof(place));
}

bool exports_quartier_rule_rule_restore(lab_rule_list_u8_t *state, rule_error *error) {
    bool good = state->len > 0 && state->ptr[0] == STATE_VERSION && (state->len - 1) % sizeof(place) == 0;
    if (good) {
        count = room = (state->len - 1) / sizeof(place);
        places = realloc(places, count * sizeof(place));
        memcpy(places, state->ptr + 1, count * sizeof(place));
    } else {
        refuse(error, QUARTIER_RULE_TYPES_RULE_ERROR_INTERNAL, "the saved state is of another version or torn");
    }
    lab_rule_list_u8_free(state);
    return good;
}
