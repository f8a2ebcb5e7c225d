"""Binds the rule to `quartier:rule`: looks names up once, gives the rule its rows, collects what it
says. `wit_world` and `componentize_py_types` are made by componentize-py when it builds."""

import json

from componentize_py_types import Err
from wit_world import exports
from wit_world.imports import types

from rule import Place, Settings, on_hour

STATE_VERSION = 1


def bad_config(key: str) -> Err:
    return Err(types.RuleError_BadConfig(key))


def id_of(entries: list, urn: str) -> int:
    for entry in entries:
        if entry.urn == urn:
            return entry.id
    raise bad_config(urn)


def number(config: dict, key: str, least: float) -> float:
    try:
        value = float(config[key])
    except (KeyError, ValueError):
        raise bad_config(key) from None
    if not value >= least:
        raise bad_config(key)
    return value


def nothing() -> types.Output:
    return types.Output(types.Derived([], [], [], []), [], [])


class State:
    """What was looked up, and what is remembered."""

    def __init__(self):
        self.pm10 = self.day_mean = self.high = 0
        self.settings = None
        self.places = {}


# Of the module: every call comes to a new `Rule`.
state = State()


class Rule(exports.Rule):
    def init(self, dict_, config):
        state.pm10 = id_of(dict_.metrics, "pm10")
        state.day_mean = id_of(dict_.metrics, "pm10_24h")
        state.high = id_of(dict_.topics, "pm10_high")
        config = dict(config)
        state.settings = Settings(
            limit=number(config, "limit.pm10_high.1", 0),
            clear_margin=number(config, "clear_margin", 0),
            coverage=number(config, "coverage", 0),
            raise_after=int(number(config, "raise_after", 1)),
            clear_after=int(number(config, "clear_after", 1)),
        )

    def on_batch(self, readings, windows, twin):
        output = nothing()
        rows = zip(
            windows.asset, windows.metric, windows.span_s, windows.end_ms, windows.mean, windows.coverage
        )
        # A row's number counts the readings before the windows.
        for cause, (asset, metric, span_s, end_ms, mean, coverage) in enumerate(rows, len(readings.asset)):
            if metric != state.pm10 or span_s != 3600:
                continue
            place = state.places.setdefault(asset, Place())
            alarm, day_mean = on_hour(place, state.settings, end_ms, mean, coverage)
            if alarm:
                output.alerts.append(self.alert(asset, alarm == "raise", mean, cause))
            if day_mean is not None:
                derived = output.derived
                derived.asset.append(asset)
                derived.metric.append(state.day_mean)
                derived.value.append(day_mean)
                derived.ts_ms.append(place.newest_ms)
        return output

    def alert(self, asset, is_raised, mean, cause):
        return types.Alert(
            asset=asset,
            topic=state.high,
            severity=types.Severity.WARNING if is_raised else types.Severity.INFO,
            code=1,
            raise_=is_raised,
            value=mean,
            text="PM10: hourly mean above the limit" if is_raised else "PM10: hourly mean well below the limit",
            cause=cause,
        )

    def on_assets(self, changed):
        for asset in changed:
            if asset.kind == "":
                state.places.pop(asset.id, None)

    def on_tick(self, now_ms):
        return nothing()

    def snapshot(self):
        """JSON, everything in order: the same state is the same bytes."""
        places = [
            [asset, p.newest_ms, sorted(p.hours.items()), p.active, p.past, p.clear]
            for asset, p in sorted(state.places.items())
        ]
        return json.dumps([STATE_VERSION, places]).encode()

    def restore(self, saved):
        try:
            version, places = json.loads(saved)
            if version != STATE_VERSION:
                raise ValueError(f"version {version}")
            state.places = {
                asset: Place(newest_ms, {end: mean for end, mean in hours}, active, past, clear)
                for asset, newest_ms, hours, active, past, clear in places
            }
        except (ValueError, TypeError) as error:
            raise Err(types.RuleError_Internal(f"the saved state is of another version or torn: {error}")) from None
