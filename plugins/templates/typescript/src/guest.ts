// Binds the rule to `quartier:rule`: looks names up once, gives the rule its rows, collects what it
// says.

import type { Entry, Guest, Id, Output } from "./quartier.js";
import { newPlace, onHour, type Decision, type Place, type Settings } from "./rule.js";

const STATE_VERSION = 1;

let settings: Settings;
let pm10: Id;
let dayMean: Id;
let high: Id;
let places = new Map<Id, Place>();

function badConfig(key: string): never {
  throw { tag: "bad-config", val: key };
}

function idOf(entries: Entry[], urn: string): Id {
  const entry = entries.find((entry) => entry.urn === urn);
  return entry ? entry.id : badConfig(urn);
}

function numberOf(config: [string, string][], key: string, least: number): number {
  const entry = config.find(([name]) => name === key);
  const value = entry && entry[1] !== "" ? Number(entry[1]) : NaN;
  return value >= least ? value : badConfig(key);
}

function nothing(): Output {
  return { derived: { asset: [], metric: [], value: [], tsMs: [] }, alerts: [], commands: [] };
}

function tell(output: Output, asset: Id, place: Place, mean: number, cause: number, decision: Decision) {
  if (decision.alarm) {
    const raise = decision.alarm === "raise";
    output.alerts.push({
      asset,
      topic: high,
      severity: raise ? "warning" : "info",
      code: 1,
      raise,
      value: mean,
      text: raise ? "PM10: hourly mean above the limit" : "PM10: hourly mean well below the limit",
      cause,
    });
  }
  if (decision.dayMean !== null) {
    output.derived.asset.push(asset);
    output.derived.metric.push(dayMean);
    output.derived.value.push(decision.dayMean);
    output.derived.tsMs.push(place.newestMs);
  }
}

export const rule: Guest = {
  init(dict, config) {
    pm10 = idOf(dict.metrics, "pm10");
    dayMean = idOf(dict.metrics, "pm10_24h");
    high = idOf(dict.topics, "pm10_high");
    settings = {
      limit: numberOf(config, "limit.pm10_high.1", 0),
      coverage: numberOf(config, "coverage", 0),
      clearMargin: numberOf(config, "clear_margin", 0),
      raiseAfter: numberOf(config, "raise_after", 1),
      clearAfter: numberOf(config, "clear_after", 1),
    };
  },

  onBatch(readings, windows) {
    const output = nothing();
    windows.asset.forEach((asset, i) => {
      if (windows.metric[i] !== pm10 || windows.spanS[i] !== 3600) return;
      let place = places.get(asset);
      if (!place) places.set(asset, (place = newPlace()));
      const mean = windows.mean[i]!;
      const decision = onHour(place, settings, windows.endMs[i]!, mean, windows.coverage[i]!);
      tell(output, asset, place, mean, readings.asset.length + i, decision);
    });
    return output;
  },

  onAssets(changed) {
    for (const asset of changed) if (asset.kind === "") places.delete(asset.id);
  },

  onTick: nothing,

  // JSON in ASCII, places by number: the same state is the same bytes.
  snapshot() {
    const sorted = [...places].sort(([a], [b]) => a - b);
    const text = JSON.stringify([STATE_VERSION, sorted]);
    return Uint8Array.from(text, (letter) => letter.charCodeAt(0));
  },

  restore(state) {
    try {
      const text = Array.from(state, (byte) => String.fromCharCode(byte)).join("");
      const [version, sorted] = JSON.parse(text);
      if (version !== STATE_VERSION) throw new Error(`version ${version}`);
      places = new Map(sorted);
    } catch (error) {
      throw { tag: "internal", val: `the saved state is of another version or torn: ${error}` };
    }
  },
};
