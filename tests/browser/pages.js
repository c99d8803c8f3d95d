// Every page, as everybody who may see it does: found by following links, so that new pages are covered.
import { test } from "node:test";
import assert from "node:assert/strict";
import { accessibility, overflow, texts, untranslated } from "./checks.js";
import { pictures, settle, signIn, visitor, SIZES } from "./chromium.js";
import { connectShop, furnish } from "./furnish.js";
import { PASSWORD, ROOT } from "./platform.js";

/** Where each reader starts. No page links some of these: mails do, or mistakes. */
const PUBLIC = ["/", "/sign-in", "/sign-up", "/sign-up/done", "/verify?token=none", "/verify/resend", "/forgot", "/reset?token=none", "/no-such-page", "/help?q=ssh", "/help?q=nowhere"];
/** Pages of one kind that differ enough to be seen more than once. */
const SEVERAL = { "/instances/:id": 4, "/admin/instances/:id": 2, "/billing/payments/:id": 2 };
const MOST_PAGES = 120;
/** Both are read side by side. */
const LANGUAGES = ["en", "zh-CN"];
const every = process.env.JST_PICTURES === "all";
/** Pictures are kept of these, because they take longer than all checks: each size, look and language is in two of them. */
const SHOWN = {
  en: ({ size, look }) => (size === "phone" && look === "light") || (size === "laptop" && look === "dark"),
  "zh-CN": ({ size, look }) => (size === "phone" && look === "dark") || (size === "laptop" && look === "light"),
};
const shown = (language, view) => (every ? ["phone", "laptop"].includes(view.size) : SHOWN[language](view));
/** What a reader is not led through: files, the other readers' pages, and the API's reference a second time, because it is long. */
const ELSEWHERE = {
  public: /^\/(static|api\/v1|language|dashboard|admin|styleguide)\b/,
  customer: /^\/(static|api|language|admin|styleguide|help)\b/,
  admin: /^\/(?!admin\b|styleguide\b)/,
};
/** What people print; an A4 sheet between its margins, in CSS pixels. */
const PRINTED = /^\/billing\/invoices\//;
const A4 = { width: 688, height: 1000 };
const MOST_BYTES = 60 * 1024;
const FIRST_BYTES = 14 * 1024;
/** Graphs and consoles bring their libraries. */
const HEAVY = /\/(graphs|console)\b|^\/admin\/instances\/|^\/api\/docs/;
/** Long documents, and those with figures or a picture in them: what the first view shows of them is at their beginning. */
const LONG = /^\/api\/docs|^\/styleguide|\/(graphs|console)\b|^\/security\/two-factor|^\/admin\/(hosts|instances|plans)\//;
const COLOURS = ["color-contrast", "link-in-text-block"];

export function pages(browser, start) {
  test("every page", async (t) => {
    const platform = await start();
    const customer = await furnish(platform, browser);
    await connectShop(platform, browser);
    const readers = {
      public: { seeds: PUBLIC },
      customer: { seeds: ["/dashboard", ...customer.pages], email: customer.email },
      admin: { seeds: ["/admin", "/styleguide"], email: platform.admin_email },
    };
    for (const [name, { seeds, email }] of Object.entries(readers))
      await t.test(name, async (t) => {
        const views = [];
        for (const language of LANGUAGES) views.push({ language, checked: new Set(), ...(await visitor(browser, platform, { language })) });
        if (email) {
          await signIn(views[0].page, email, PASSWORD);
          // Signing in brings the language of the account along; here each browser has its own.
          const cookies = await views[0].context.cookies();
          await views[1].context.addCookies(cookies.filter(({ name }) => name !== "jst_lang"));
        }
        const covered = await crawl(seeds, async (path) => {
          const seen = await Promise.all(views.map((view) => look(view, path, name)));
          const english = seen[0];
          await t.test(`${name} ${path}`, () => {
            const problems = seen.flatMap(({ problems }) => problems);
            for (const text of untranslated(english.texts, seen[1].texts)) problems.push(`not translated: ${text}`);
            assert.deepEqual(problems, []);
          });
          return english.links;
        });
        assert.ok(covered >= seeds.length, `${covered} pages`);
        for (const { context } of views) await context.close();
      });
  });
}

/** Visits the pages that can be reached from the first ones, one of each kind. */
async function crawl(seeds, visit) {
  const counts = {};
  const queue = [];
  const add = (path) => {
    const kind = path.replace(/\b[a-z]{2,5}_[0-9a-f]{32}\b|[0-9a-f]{8}-[0-9a-f-]{27}|\/\d+(?=\/|$)/g, ":id").replace(/\?.*/, "");
    counts[kind] = (counts[kind] ?? 0) + 1;
    if (counts[kind] <= (SEVERAL[kind] ?? 1)) queue.push(path);
  };
  seeds.forEach(add);
  let covered = 0;
  for (; queue.length > 0 && covered < MOST_PAGES; covered += 1) (await visit(queue.shift())).forEach(add);
  return covered;
}

/** The links that lead nowhere: to a page that is refused, or to a place that the page does not have. Each is tried once. */
async function deadLinks(page, links, checked) {
  const dead = await page.$$eval("a[href^='#']", (links) =>
    links.map((link) => link.getAttribute("href")).filter((href) => href.length > 1 && !document.getElementById(decodeURIComponent(href.slice(1)))),
  );
  for (const link of new Set(links)) {
    // A choice of language would change what the other pages say.
    if (checked.has(link) || /^\/language\b/.test(link)) continue;
    checked.add(link);
    const answer = await page.context().request.get(link);
    if (!answer.ok()) dead.push(`${link} (${answer.status()})`);
    await answer.dispose();
  }
  return dead.map((link) => `${new URL(page.url()).pathname} links to ${link}`);
}

/** What a first visit costs: everything that is fetched, and what must be there before anything looks as it should. */
async function weight(page, path) {
  const { whole, first } = await page.evaluate(() => {
    const [document, ...parts] = [...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")];
    const bytes = (entries) => entries.reduce((sum, { encodedBodySize }) => sum + encodedBodySize, 0);
    const sheets = parts.filter(({ name }) => name.endsWith(".css") && !name.includes("/vendor/"));
    return { whole: bytes([document, ...parts]), first: bytes([document, ...sheets]) };
  });
  const found = [];
  if (whole > MOST_BYTES && !HEAVY.test(path)) found.push(`${path} weighs ${whole} bytes`);
  if (first > FIRST_BYTES && !LONG.test(path)) found.push(`${path} needs ${first} bytes before it is styled`);
  return found;
}

/** What a document looks like on paper: all of it within the page, and nothing of the frame around it. */
async function printed(page, name, where) {
  const before = page.viewportSize();
  await page.emulateMedia({ media: "print" });
  await page.setViewportSize(A4);
  const found = (await overflow(page)).map((problem) => `${where}: ${problem}`);
  const frame = await page.$$eval("nav, header.topbar, main .btn", (parts) => parts.filter((part) => part.checkVisibility()).map(({ className }) => className));
  if (frame.length > 0) found.push(`${where}: ${frame.join(", ")}`);
  await page.screenshot({ path: `${ROOT}target/screenshots/${name}-printed.png` });
  await page.emulateMedia({ media: null });
  await page.setViewportSize(before);
  return found;
}

/** Reads one page in one language in all sizes and looks, and gives what is wrong and where it leads. */
async function look({ page, problems, language, checked }, path, reader) {
  problems.length = 0;
  const answer = await page.goto(path);
  await settle(page);
  const status = answer.status();
  if (status >= 500 || (status >= 400 && !/none|no-such/.test(path))) problems.push(`${path}: status ${status}`);
  const links = await page.$$eval("a[href]", (links) =>
    links.filter((link) => link.origin === location.origin && !link.hasAttribute("download")).map((link) => link.pathname + link.search),
  );
  // The reader is there already, by whatever status.
  checked.add(path);
  problems.push(...(await deadLinks(page, links, checked)));
  problems.push(...(await weight(page, path)));
  const seen = await texts(page);
  const name = `pages/${reader}/${language}${path.replace(/[_-]?[0-9a-f]{32}|\W+$/g, "").replace(/\W+/g, "-")}`;
  // A look changes colours only, and a language neither colours nor structure.
  const accessible = ({ size, look }) => language === "en" && (size === "tablet" || (size === "phone" && look === "light"));
  const each = async ({ size, look }) => {
    const where = `${language} ${SIZES[size].width} ${look}`;
    if (look === "light") for (const problem of await overflow(page)) problems.push(`${where}: ${problem}`);
    if (accessible({ size, look }))
      for (const problem of await accessibility(page, look === "dark" ? COLOURS : undefined)) problems.push(`${where}: ${problem}`);
  };
  const wanted = (view) => shown(language, view);
  await pictures(page, name, { each, wanted, judged: (view) => view.look === "light" || accessible(view) || wanted(view) });
  if (PRINTED.test(path)) problems.push(...(await printed(page, name, `${language} printed`)));
  return {
    problems: [...problems],
    texts: seen,
    links: links.filter((link) => !ELSEWHERE[reader].test(link)),
  };
}
