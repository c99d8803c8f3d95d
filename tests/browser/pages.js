// Every page, as everybody who may see it does: found by following links, so that new pages are covered.
import { test } from "node:test";
import assert from "node:assert/strict";
import { accessibility, overflow, texts, untranslated } from "./checks.js";
import { pictures, settle, signIn, visitor, SIZES } from "./chromium.js";
import { furnish } from "./furnish.js";
import { PASSWORD } from "./platform.js";

/** Where each reader starts. No page links some of these: mails do, or mistakes. */
const PUBLIC = ["/", "/sign-in", "/sign-up", "/sign-up/done", "/verify?token=none", "/verify/resend", "/forgot", "/reset?token=none", "/no-such-page"];
/** Pages of one kind that differ enough to be seen more than once. */
const SEVERAL = { "/instances/:id": 4, "/admin/instances/:id": 2 };
const MOST_PAGES = 120;
/** Both are read side by side. */
const LANGUAGES = ["en", "zh-CN"];
/** Every view is checked; pictures are kept of these, because they take longer than all checks. */
const SHOWN = {
  en: ({ size, look }) => look === "light" || size === "tablet",
  "zh-CN": ({ size, look }) => (size === "phone" && look === "light") || (size === "desktop" && look === "dark"),
};
const COLOURS = ["color-contrast", "link-in-text-block"];

export function pages(browser, start) {
  test("every page", async (t) => {
    const platform = await start();
    const customer = await furnish(platform, browser);
    const readers = {
      public: { seeds: PUBLIC },
      customer: { seeds: ["/dashboard", ...customer.pages], email: customer.email },
      admin: { seeds: ["/admin", "/styleguide"], email: platform.admin_email },
    };
    for (const [name, { seeds, email }] of Object.entries(readers))
      await t.test(name, async (t) => {
        const views = [];
        for (const language of LANGUAGES) views.push({ language, ...(await visitor(browser, platform, { language })) });
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

/** Reads one page in one language in all sizes and looks, and gives what is wrong and where it leads. */
async function look({ page, problems, language }, path, reader) {
  problems.length = 0;
  const answer = await page.goto(path);
  await settle(page);
  const status = answer.status();
  if (status >= 500 || (status >= 400 && !/none|no-such/.test(path))) problems.push(`${path}: status ${status}`);
  const links = await page.$$eval("a[href]", (links) =>
    links.filter((link) => link.origin === location.origin && !link.hasAttribute("download")).map((link) => link.pathname + link.search),
  );
  const seen = await texts(page);
  const name = `pages/${reader}/${language}${path.replace(/[_-]?[0-9a-f]{32}|\W+$/g, "").replace(/\W+/g, "-")}`;
  const each = async ({ size, look }) => {
    const where = `${language} ${SIZES[size].width} ${look}`;
    // A look changes colours only, and a language neither colours nor structure.
    if (look === "light") for (const problem of await overflow(page)) problems.push(`${where}: ${problem}`);
    if (language === "en" && (size === "tablet" || (size === "phone" && look === "light")))
      for (const problem of await accessibility(page, look === "dark" ? COLOURS : undefined)) problems.push(`${where}: ${problem}`);
  };
  await pictures(page, name, { each, wanted: (view) => process.env.JST_PICTURES === "all" || SHOWN[language](view) });
  return {
    problems: [...problems],
    texts: seen,
    // Neither files nor the other readers' pages.
    links: links.filter((link) => !/^\/(static|api\/v1|language)\b/.test(link) && (reader === "admin") === /^\/(admin|styleguide)\b/.test(link) && (reader !== "public" || !/^\/dashboard/.test(link))),
  };
}
