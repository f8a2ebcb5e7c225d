// The rule without a node. `npm test`

import assert from "node:assert/strict";
import test from "node:test";

import { HOUR_MS, newPlace, onHour, type Decision, type Settings } from "./rule.js";

const SETTINGS: Settings = { limit: 50, clearMargin: 0.1, coverage: 0.75, raiseAfter: 2, clearAfter: 3 };

function decisions(means: number[]): Decision[] {
  const place = newPlace();
  return means.map((mean, hour) => onHour(place, SETTINGS, (hour + 1) * HOUR_MS, mean, 1));
}

test("one bad hour is not an alert", () => {
  assert.deepEqual(decisions([51, 49, 51]).map((said) => said.alarm), [null, null, null]);
});

test("two bad hours in a row raise and three good ones clear", () => {
  const alarms = decisions([51, 52, 60, 44, 44, 44]).map((said) => said.alarm);
  assert.deepEqual(alarms, [null, "raise", null, null, null, "clear"]);
});

test("the mean of a day needs eighteen hours", () => {
  const means = decisions([...Array(17).fill(10), 28]).map((said) => said.dayMean);
  assert.deepEqual(means, [...Array(17).fill(null), 11]);
});
