// MQTT.js over WebSocket in headless Chromium: node browser.mjs URL CHROMIUM PAGE_ORIGIN
// The page comes from PAGE_ORIGIN, an HTTP server that need only answer.
// Exit code 3: the browser was not let in, which some tests want.
import { readFileSync } from "node:fs";
import { chromium } from "playwright-core";

const [url, executablePath, page_origin] = process.argv.slice(2);
const browser = await chromium.launch({
  executablePath,
  headless: true,
  args: [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
  ],
});
try {
  const page = await browser.newPage();
  page.on("pageerror", (error) => console.error(`page: ${error}`));
  await page.goto(page_origin);
  // The bundle as it is, without the package's rules of what a program may import.
  for (const file of ["node_modules/mqtt/dist/mqtt.min.js", "steps.js"]) {
    await page.addScriptTag({ content: readFileSync(new URL(file, import.meta.url), "utf8") });
  }
  const opens = await page.evaluate(
    (url) =>
      new Promise((resolve) => {
        const socket = new WebSocket(url, "mqtt");
        socket.onopen = () => resolve(true);
        socket.onerror = () => resolve(false);
      }),
    url,
  );
  if (!opens) {
    console.error("the upgrade was refused");
    process.exitCode = 3;
  } else {
    for (const version of [4, 5]) {
      const done = await page.evaluate(
        ([url, version]) => globalThis.steps(globalThis.mqtt, url, version, `browser-${version}`),
        [url, version],
      );
      console.log(`MQTT ${version === 4 ? "3.1.1" : "5"}: ${done.join(", ")}`);
    }
  }
} finally {
  await browser.close();
}
