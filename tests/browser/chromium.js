// One Chromium for all tests, and pages that remember everything that went wrong in them.
import { mkdirSync } from "node:fs";
import { dirname } from "node:path";
import { chromium } from "playwright-core";
import { unrolled } from "./checks.js";
import { ROOT } from "./platform.js";

export const SIZES = {
  phone: { width: 360, height: 740 },
  tablet: { width: 1024, height: 768 },
  laptop: { width: 1280, height: 800 },
  desktop: { width: 1920, height: 1080 },
};
/** The API's reference is as long as a book; its pages look alike, and its picture would take longer than all others. */
const TALLEST = 4000;

export const launch = (more = []) =>
  chromium.launch({
    executablePath: "/usr/bin/chromium-headless-shell",
    args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run", ...more],
  });

/** A browser in which nobody was before. `problems` fills with what a page must not do. */
export async function visitor(browser, platform, { language = "en", script = true, size = SIZES.tablet } = {}) {
  const context = await browser.newContext({
    baseURL: platform.url,
    viewport: size,
    locale: language,
    timezoneId: "Asia/Shanghai",
    colorScheme: "light",
    reducedMotion: "reduce",
    javaScriptEnabled: script,
  });
  context.setDefaultTimeout(15_000);
  const page = await context.newPage();
  return { context, page, problems: watch(page) };
}

function watch(page) {
  const problems = [];
  page.on("pageerror", (error) => problems.push(`${page.url()}: ${error}`));
  // Broken rules of the content security policy come as console errors too.
  page.on("console", (message) => {
    // A page that is refused (404, 422) is reported as if it were a part that did not load.
    const refusedPage = message.location().url === page.url() && message.text().startsWith("Failed to load resource");
    if (["error", "warning"].includes(message.type()) && !refusedPage) problems.push(`${page.url()}: ${message.text()}`);
  });
  page.on("request", (request) => {
    const { origin, protocol } = new URL(request.url());
    if (protocol.startsWith("http") && page.url().startsWith("http") && origin !== new URL(page.url()).origin)
      problems.push(`${page.url()}: asks ${origin}`);
  });
  return problems;
}

/** Waits until the page can be judged: it stands at its top, the type face is there and nothing moves. */
export async function settle(page) {
  await page.evaluate(() => scrollTo(0, 0));
  await page.evaluate(() => document.fonts.ready.then(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))));
}

/** A picture of the whole page in target/screenshots. */
export async function picture(page, name) {
  const path = `${ROOT}target/screenshots/${name}.png`;
  mkdirSync(dirname(path), { recursive: true });
  await unrolled(page, TALLEST, () => page.screenshot({ path }));
}

/**
 * The same page in both looks and all sizes: `each` judges one view and `wanted` says of which there shall be a picture.
 * Of a view that `judged` leaves out there is neither.
 */
export async function pictures(page, name, { each = async () => {}, judged = () => true, wanted = () => true } = {}) {
  for (const [size, viewport] of Object.entries(SIZES)) {
    await page.setViewportSize(viewport);
    for (const look of ["light", "dark"].filter((look) => judged({ size, look }))) {
      await page.emulateMedia({ colorScheme: look });
      await settle(page);
      await each({ size, look });
      if (wanted({ size, look })) await picture(page, `${name}-${viewport.width}-${look}`);
    }
  }
  await page.setViewportSize(SIZES.tablet);
  await page.emulateMedia({ colorScheme: "light" });
}

export async function signIn(page, email, password) {
  await page.goto("/sign-in");
  await page.fill("[name=email]", email);
  await page.fill("[name=password]", password);
  await Promise.all([page.waitForURL((url) => url.pathname !== "/sign-in"), page.click("main form [type=submit]")]);
}
