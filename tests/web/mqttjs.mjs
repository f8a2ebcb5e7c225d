// MQTT.js over WebSocket in Node: node mqttjs.mjs URL
import mqtt from "mqtt";
import "./steps.js";

const [url] = process.argv.slice(2);
for (const version of [4, 5]) {
  const done = await globalThis.steps(mqtt, url, version, `node-${version}`);
  console.log(`MQTT ${version === 4 ? "3.1.1" : "5"}: ${done.join(", ")}`);
}
process.exit(0);
