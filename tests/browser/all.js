// All browser tests in one process: one Chromium, and each platform is started once.
import { rmSync } from "node:fs";
import { after } from "node:test";
import { launch } from "./chromium.js";
import { Platform, ROOT } from "./platform.js";
import { consoles } from "./console.js";
import { graphs } from "./graphs.js";
import { hostile } from "./hostile.js";
import { journey } from "./journey.js";
import { lighthouse } from "./lighthouse.js";
import { pages } from "./pages.js";
import { palette } from "./palette.js";
import { passkeys } from "./passkeys.js";
import { plain } from "./plain.js";
import { readme } from "./readme.js";

const wanted = (process.env.JST_PARTS || "pages plain graphs palette passkeys hostile lighthouse console journey").split(" ");
for (const part of wanted) rmSync(`${ROOT}target/screenshots/${part}`, { recursive: true, force: true });
const browser = await launch();
const running = [];
/** Started by the first test that needs it, and stopped after the last. */
const start = (guests) => {
  const platform = Platform.start(guests);
  running.push(platform);
  return platform;
};

after(async () => {
  await browser.close();
  for (const platform of running) await (await platform).stop();
});

let simulated;
const onSimulated = () => (simulated ??= start("simulated"));
if (wanted.includes("pages")) pages(browser, onSimulated);
if (wanted.includes("plain")) plain(browser, onSimulated);
if (wanted.includes("graphs")) graphs(browser, onSimulated);
if (wanted.includes("palette")) palette(browser, onSimulated);
if (wanted.includes("passkeys")) passkeys(browser, onSimulated);
// Both change what others would see.
if (wanted.includes("hostile")) hostile(browser, () => start("simulated"));
if (wanted.includes("lighthouse")) lighthouse(() => start("simulated"));
if (wanted.includes("console")) consoles(browser, () => start("real"));
if (wanted.includes("journey")) journey(browser, () => start("real"));
// By name only: its pictures are committed.
if (wanted.includes("readme")) readme(browser, () => start("real"));
