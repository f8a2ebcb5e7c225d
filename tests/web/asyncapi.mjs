// Is FILE an AsyncAPI document by the reference parser, and do messages fit it?
// Prints {"errors": [..], "channels": n}; each line of MESSAGES is {"topic", "payload"}.
// Usage: node asyncapi.mjs FILE [MESSAGES]
import { readFileSync } from "node:fs";
import { DiagnosticSeverity, Parser } from "@asyncapi/parser";
import Ajv from "ajv";
import addFormats from "ajv-formats";

const [file, messages] = process.argv.slice(2);
const text = readFileSync(file, "utf8");
const { diagnostics } = await new Parser().parse(text);
const errors = diagnostics
  .filter((found) => found.severity === DiagnosticSeverity.Error)
  .map((found) => `${found.path.join(".")}: ${found.message}`);

const document = JSON.parse(text);
const ajv = new Ajv({ strict: false, allErrors: true });
addFormats(ajv);
ajv.addSchema({ ...document, $id: "doc" });

// A level in braces stands for one level of the topic.
const fits = (address, topic) => {
  const levels = topic.split("/");
  const wanted = address.split("/");
  return (
    wanted.length === levels.length &&
    wanted.every((level, index) => level.startsWith("{") || level === levels[index])
  );
};

const seen = new Set();
for (const line of messages ? readFileSync(messages, "utf8").split("\n") : []) {
  if (!line) continue;
  const { topic, payload } = JSON.parse(line);
  const found = Object.entries(document.channels).filter(([, channel]) => fits(channel.address, topic));
  if (found.length !== 1) {
    errors.push(`${topic}: ${found.length} channels`);
    continue;
  }
  const [id, channel] = found[0];
  seen.add(id);
  if (payload === "") continue;
  const [message] = Object.values(channel.messages);
  const name = message.$ref.split("/").at(-1);
  const schema = document.components.messages[name].payload.$ref;
  const validate = ajv.compile({ $ref: `doc${schema}` });
  if (!validate(JSON.parse(payload))) errors.push(`${topic}: ${payload}: ${ajv.errorsText(validate.errors)}`);
}
console.log(JSON.stringify({ errors, channels: Object.keys(document.channels).length, seen: [...seen].sort() }));
