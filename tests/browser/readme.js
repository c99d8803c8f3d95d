// The pictures of the two READMEs: a small shop on one real host, seen by a customer and by its operator.
import { statSync } from "node:fs";
import { test } from "node:test";
import assert from "node:assert/strict";
import { settle, signIn, visitor } from "./chromium.js";
import { apiToken, letBuy, nameCatalogue, signUp, sshKey } from "./furnish.js";
import { PASSWORD, ROOT } from "./platform.js";

const SIZE = { width: 1280, height: 800 };
/** A README with pictures must still open at once on a slow line. */
const MOST_BYTES = 120 * 1024;
const EMAIL = "you@example.com";

/** What a guest of the micro image needs, in shares of a host of two processors. */
const plan = (vcpus, memory, mbit, usd) => ({
  price_monthly_usd: usd * 100,
  price_monthly_cny: usd * 700,
  policy: {
    cpu: { vcpus, reservation: vcpus * 150, limit: vcpus * 1000, shares: "normal" },
    memory: { size: memory, reservation: memory / 2, shares: "normal" },
    disk: { size: 512 * vcpus, shares: "normal", read: { operations: { average: 5000 } }, write: { operations: { average: 2000 } } },
    network: { inbound: { reservation: mbit * 200, average: mbit * 1000 }, outbound: { reservation: mbit * 200, average: mbit * 1000 } },
  },
});
const PLANS = { trial: plan(1, 256, 50, 0), small: plan(1, 256, 100, 5), large: plan(2, 512, 200, 12) };

export function readme(browser, start) {
  test("pictures for the READMEs", { timeout: 600_000 }, async () => {
    const platform = await start();
    const shop = await furnish(platform, browser);
    const customer = await visitor(browser, platform, { size: SIZE });
    await take(customer.page, "/", "landing");
    await signIn(customer.page, EMAIL, PASSWORD);
    await take(customer.page, `/instances/${shop.instances.web}`, "instance");
    await customer.page.goto("/instances/new");
    await customer.page.check("[name=plan][value=large]");
    await shot(customer.page, "create");
    const operator = await visitor(browser, platform, { size: SIZE });
    await signIn(operator.page, platform.admin_email, PASSWORD);
    const { items } = await platform.api("GET", "/admin/hosts");
    // Wide enough that the picture ends where the column with the facts of this very machine begins.
    await operator.page.setViewportSize({ ...SIZE, width: 1830 });
    await operator.page.goto(`/admin/hosts/${items[0].id}`);
    // The state above the bars says how well this machine suits; that is no matter of the picture's.
    await shot(operator.page, "host", ".columns");
    assert.deepEqual([...customer.problems, ...operator.problems], []);
    await customer.context.close();
    await operator.context.close();
  });
}

/** A catalogue with names, and one customer's running instances. */
async function furnish(platform, browser) {
  await nameCatalogue(platform, PLANS);
  const { items } = await platform.api("GET", "/admin/images");
  const [image] = items;
  const { slug, os_family, format, min_memory_mib, login_user } = image;
  await platform.api("PUT", `/admin/images/${image.id}`, { slug, os_family, format, min_memory_mib, login_user, name: "Debian 12" });
  // What guests are guaranteed of a network is a share of a known rate.
  const { items: hosts } = await platform.api("GET", "/admin/hosts");
  await platform.api("PATCH", `/admin/hosts/${hosts[0].id}`, { uplink_kbit: 1_000_000 });
  const { context } = await visitor(browser, platform);
  const send = await signUp(platform, context, EMAIL);
  await letBuy(platform, EMAIL);
  await send("/ssh-keys", { public_key: sshKey("laptop"), name: "" });
  await send("/team/name", { name: "Example Studio" });
  const token = await apiToken(context);
  await context.close();

  const { items: keys } = await platform.api("GET", "/ssh-keys", undefined, token);
  const instances = {};
  for (const [name, plan] of Object.entries({ web: "large", shop: "small", mail: "small", build: "large" })) {
    const body = { name, plan, image: image.slug, ssh_keys: keys.map(({ id }) => id), trial: false };
    const operation = await platform.api("POST", "/instances", body, token);
    await platform.operationEnds(token, operation.id);
    instances[name] = operation.instance_id;
  }
  return { instances };
}

async function take(page, path, name) {
  const answer = await page.goto(path);
  assert.equal(answer.status(), 200, path);
  await shot(page, name);
}

/** What the window shows, from the top of the page or of the element `from`. */
async function shot(page, name, from) {
  await settle(page);
  if (from) await page.locator(from).first().evaluate((element) => scrollBy(0, element.getBoundingClientRect().top - 66));
  const path = `${ROOT}docs/screenshots/${name}.png`;
  await page.screenshot({ path, clip: { x: 0, y: 0, ...SIZE } });
  const { size } = statSync(path);
  assert.ok(size <= MOST_BYTES, `${path} has ${size} bytes`);
}
