// Lighthouse's judgement of the pages that people see first and most.
import { test } from "node:test";
import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import run from "lighthouse";
import { launch, visitor } from "./chromium.js";
import { furnish } from "./furnish.js";
import { PASSWORD, ROOT } from "./platform.js";

const LEAST = 95;
const CATEGORIES = ["performance", "accessibility", "best-practices", "seo"];
/** What else the machine does moves the speed: the middle of three counts where one attempt is not enough. */
const ATTEMPTS = 3;

export function lighthouse(start) {
  test("lighthouse", async (t) => {
    const platform = await start();
    const port = await freePort();
    const browser = await launch([`--remote-debugging-port=${port}`]);
    try {
      const customer = await furnish(platform, browser, "light@example.com");
      const { context } = await visitor(browser, platform);
      await context.request.post("/sign-in", { form: { email: customer.email, password: PASSWORD } });
      const cookies = (await context.cookies()).map(({ name, value }) => `${name}=${value}`).join("; ");
      await context.close();
      const pages = { landing: ["/"], "sign-in": ["/sign-in"], dashboard: ["/dashboard", cookies], instance: [customer.pages[0], cookies] };
      for (const [name, [path, cookie]] of Object.entries(pages))
        await t.test(`lighthouse ${name}`, async () => {
          const { scores, missing } = await judge(platform.url + path, port, name, cookie);
          t.diagnostic(`${name}: ${JSON.stringify(scores)}`);
          assert.ok(CATEGORIES.every((category) => scores[category] >= LEAST), JSON.stringify({ scores, missing }, null, 1));
        });
    } finally {
      await browser.close();
    }
  });
}

async function judge(url, port, name, cookie) {
  const results = [];
  const middle = (category) => results.map(({ lhr }) => Math.round(lhr.categories[category].score * 100)).sort((a, b) => a - b)[results.length >> 1];
  let scores;
  do {
    results.push(await run(url, { port, logLevel: "error", output: "html", onlyCategories: CATEGORIES, ...(cookie && { extraHeaders: { Cookie: cookie } }) }));
    scores = Object.fromEntries(CATEGORIES.map((category) => [category, middle(category)]));
  } while (results.length < ATTEMPTS && CATEGORIES.some((category) => scores[category] < LEAST));
  const { lhr, report } = results.at(-1);
  mkdirSync(`${ROOT}target/lighthouse`, { recursive: true });
  writeFileSync(`${ROOT}target/lighthouse/${name}.html`, report);
  assert.equal(new URL(lhr.finalDisplayedUrl).pathname, new URL(url).pathname, "the page itself was judged");
  const missing = Object.values(lhr.audits).filter(({ score, scoreDisplayMode }) => score !== null && score < 0.9 && !/informative|notApplicable|manual/.test(scoreDisplayMode));
  return { scores, missing: missing.map(({ id, displayValue, score }) => `${id} ${score} ${displayValue ?? ""}`) };
}

async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await new Promise((ready) => server.once("listening", ready));
  const { port } = server.address();
  await new Promise((closed) => server.close(closed));
  return port;
}
