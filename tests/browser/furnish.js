// What a platform looks like that is in use: a catalogue with names, and a customer with something on every page.
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { signIn, visitor } from "./chromium.js";
import { inventHistory } from "./history.js";
import { PASSWORD } from "./platform.js";

export function sshKey(comment) {
  const directory = mkdtempSync(join(tmpdir(), "jst-key-"));
  try {
    execFileSync("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", join(directory, "id")]);
    return readFileSync(join(directory, "id.pub"), "utf8").trim();
  } finally {
    rmSync(directory, { recursive: true });
  }
}

/** Signs up, confirms the address and signs in, without looking at the pages. Gives a request context. */
export async function signUp(platform, context, email) {
  const send = (path, form) => context.request.post(path, { form, failOnStatusCode: true });
  await send("/sign-up", { email, password: PASSWORD });
  await send("/verify", { token: await platform.tokenInMail(email, "/verify?token=") });
  await send("/sign-in", { email, password: PASSWORD });
  return send;
}

/** An API token of whoever is signed in. */
export async function apiToken(context) {
  const form = new URLSearchParams({ name: "backup", valid_days: "90", current_password: PASSWORD });
  for (const scope of ["read", "write"]) form.append("scopes", scope);
  const answer = await context.request.post("/api-tokens", {
    data: form.toString(),
    headers: { "content-type": "application/x-www-form-urlencoded" },
    failOnStatusCode: true,
  });
  return (await answer.text()).match(/data-copy="(jst_[\w-]+)"/)[1];
}

const NAMES = { trial: ["Trial", "试用型"], small: ["Small", "入门型"], large: ["Large", "专业型"] };

/** Gives the plans the names, the order and, where no real guest must fit, the sizes that a shop has. */
export async function nameCatalogue(platform, sizes = {}) {
  const { items: plans } = await platform.api("GET", "/admin/plans");
  for (const { id, slug, ...plan } of plans) {
    const [name_en, name_zh] = NAMES[slug];
    const sort_order = Object.keys(NAMES).indexOf(slug);
    await platform.api("PUT", `/admin/plans/${id}`, { ...input(plan), slug, name_en, name_zh, sort_order, ...sizes[slug] });
  }
}

const size = (vcpus, memory, disk, mbit, usd) => ({
  price_monthly_usd: usd * 100,
  price_monthly_cny: usd * 700,
  policy: {
    cpu: { vcpus, reservation: vcpus * 250, limit: vcpus * 1000, shares: "normal" },
    memory: { size: memory, reservation: memory / 2, shares: "normal" },
    disk: { size: disk, shares: "normal", reservation: 200, read: { operations: { average: 5000 } }, write: { operations: { average: 2000 } } },
    network: {
      inbound: { reservation: mbit * 200, average: mbit * 1000 },
      outbound: { reservation: mbit * 100, average: mbit * 500, peak: mbit * 1000, burst: 32768 },
    },
  },
});
const SIZES = { trial: size(1, 512, 5120, 50, 0), small: size(1, 1024, 10240, 100, 5), large: size(2, 2048, 20480, 200, 12) };

/** What may be written of a plan that was read. */
function input(plan) {
  const { version, retired, ...rest } = plan;
  return rest;
}

export async function letBuy(platform, email) {
  const { items } = await platform.api("GET", `/admin/customers?search=${encodeURIComponent(email)}`);
  const [{ id }] = items;
  await platform.api("PUT", `/admin/customers/${id}/quotas`, {
    may_buy: true,
    quota_instances: 10,
    quota_vcpus: 16,
    quota_memory_mib: 16384,
    quota_disk_mib: 102400,
  });
}

/** Makes the person who is signed in with `send` a member of a team of somebody else's too. */
export async function joinTeam(platform, browser, send, email, owner, team) {
  const { context } = await visitor(browser, platform);
  const invite = await signUp(platform, context, owner);
  await invite("/team/name", { name: team });
  await invite("/team/invitations", { email, role: "operator" });
  await context.close();
  await send("/invitation", { token: await platform.tokenInMail(email, "/invitation?token=") });
}

/** A billing system with a service, connected as an administrator does it. */
export async function connectShop(platform, browser) {
  const { context, page } = await visitor(browser, platform);
  await signIn(page, platform.admin_email, PASSWORD);
  const form = new URLSearchParams({ name: "WHMCS", current_password: PASSWORD });
  for (const scope of ["read", "provision", "terminate", "sso"]) form.append("scopes", scope);
  const answer = await context.request.post("/admin/billing-systems", {
    data: form.toString(),
    headers: { "content-type": "application/x-www-form-urlencoded" },
    failOnStatusCode: true,
  });
  const token = (await answer.text()).match(/data-copy="(jstb_[\w-]+)"/)[1];
  const order = {
    owner: { reference: "client-7", email: "shopper@example.com", name: "Lin" },
    plan: "small",
    image: "test",
    hostname: "blog.example.com",
    entitlement_version: 1,
  };
  await context.request.put("/billing/v1/services/whmcs-1042", {
    data: order,
    headers: { authorization: `Bearer ${token}` },
    failOnStatusCode: true,
  });
  await context.close();
}

/** A customer with running and stopped instances, a key, a token, an open invitation, and a second team. */
export async function furnish(platform, browser, email = "you@example.com") {
  await nameCatalogue(platform, SIZES);
  const { context } = await visitor(browser, platform);
  const send = await signUp(platform, context, email);
  await letBuy(platform, email);
  await send("/ssh-keys", { public_key: sshKey("you@laptop"), name: "" });
  await send("/team/name", { name: "Studio" });
  await send("/team/invitations", { email: "viewer@example.com", role: "viewer" });
  const token = await apiToken(context);
  // The last step, because it leads into the other team.
  await joinTeam(platform, browser, send, email, "owner@example.com", "Workshop");
  await context.close();

  const api = (method, path, body) => platform.api(method, path, body, token);
  const { items: keys } = await api("GET", "/ssh-keys");
  const made = {};
  const create = async (name, plan) => {
    const body = { name, plan, image: "test", ssh_keys: keys.map(({ id }) => id), trial: false };
    const operation = await api("POST", "/instances", body);
    await platform.operationEnds(token, operation.id);
    made[name] = operation.instance_id;
  };
  await create("web-1", "small");
  await create("shop", "large");
  await create("archive", "small");
  await create("old", "small");
  await platform.operationEnds(token, (await api("POST", `/instances/${made.archive}/actions/shutdown`)).id);
  await platform.operationEnds(token, (await api("DELETE", `/instances/${made.old}`)).id);
  // Nobody is there: its log shows what a failure looks like.
  const hook = await api("POST", "/webhooks", { url: "https://webhooks.invalid/hook", types: ["instance.created", "operation.failed"] });
  const test = await api("POST", `/webhooks/${hook.id}/test`);
  inventHistory(platform, made["web-1"]);
  const payments = await inventPayments(platform, email);
  const instances = Object.values(made).map((id) => `/instances/${id}`);
  const webhooks = [`/webhooks/${hook.id}`, `/webhooks/${hook.id}/deliveries/${test.id}`];
  const invoice = inventInvoice(platform, email, [made["web-1"], made.shop]);
  return { email, token, pages: [...instances, invoice, "/billing/payments", ...payments, ...webhooks] };
}

/** Last month's invoice of these instances, which no ledger knows, and a credit note upon it. Gives its page. */
function inventInvoice(platform, email, instances) {
  const id = "0193".padEnd(31, "0") + "a";
  const month = "date_trunc('month', now() - interval '1 month')";
  const ids = instances.map((instance) => `'${instance.replace("vm_", "")}'`).join(", ");
  platform.sql(`
    BEGIN;
    INSERT INTO invoices (id, number, tenant_id, currency, month, time_zone, due_at, net, tax, total, tax_rate, tax_included, issuer, billed_to)
      SELECT '${id}', 1, tenant_id, currency, ${month}, 'Asia/Shanghai', now() + interval '14 days', 3100, 186, 3286, 600, false,
        E'Example Hosting Ltd.\\n1 Example Street\\nVAT 123456', E'Studio\\n2 Example Road'
      FROM billing_accounts JOIN memberships USING (tenant_id) JOIN users ON users.id = user_id WHERE email = '${email}' ORDER BY role DESC LIMIT 1;
    INSERT INTO invoice_lines (invoice_id, n, tenant_id, instance_id, name, month, item, resource, interval, plan_id, plan_version, since, until,
        quantity, amount)
      SELECT '${id}', row_number() OVER (), invoices.tenant_id, instance_id, name, ${month}, item, resource, n, ledger.plan_id, ledger.plan_version,
        ${month}, ${month} + interval '1 month', CASE item WHEN 'time' THEN 2592000 ELSE 734003200 END, CASE item WHEN 'time' THEN 1500 ELSE 50 END
      FROM ledger JOIN instances ON instances.id = instance_id, invoices, (VALUES ('time'), ('traffic')) AS items (item)
      WHERE instance_id IN (${ids}) AND n = 1 AND invoices.id = '${id}';
    INSERT INTO credit_notes (id, number, invoice_id, tenant_id, net, tax, total, reason)
      SELECT '${id.slice(0, -1)}b', 1, id, tenant_id, 100, 6, 106, 'An hour without a network' FROM invoices;
    COMMIT;
  `);
  return `/billing/invoices/bill_${id}`;
}

/** A way to pay, payments of each kind that no provider was asked for, and what a provider told of one. Gives the pages of those. */
async function inventPayments(platform, email) {
  await platform.api("PUT", "/admin/payment-providers/stripe", {
    enabled: true,
    values: { secret_key: "sk_test_of_the_pages", webhook_secret: "whsec_of_the_pages" },
  });
  const ids = ["1", "2", "3"].map((n) => `0193${n.padStart(28, "0")}`);
  const rows = [
    ["stripe", 5000, "pending", "https://checkout.stripe.com/c/pay/cs_test_a1b2c3", null],
    ["wechat", 12000, "pending", "weixin://wxpay/bizpayurl?pr=nWpr6Rhzz", null],
    ["alipay", 8800, "paid", "https://openapi.alipay.com/gateway.do", "now()"],
  ];
  platform.sql(
    rows
      .map(
        ([provider, amount, state, target, paid], n) =>
          `INSERT INTO payments (id, tenant_id, currency, provider, amount, state, target, created_by, expires_at, paid_at)
           SELECT '${ids[n]}', tenant_id, currency, '${provider}', ${amount}, '${state}', '${target}', '${email}', now() + interval '2 hours', ${paid}
           FROM billing_accounts JOIN memberships USING (tenant_id) JOIN users ON users.id = user_id WHERE email = '${email}' ORDER BY role DESC LIMIT 1;`,
      )
      .join("\n") +
      `INSERT INTO payment_events (provider, event_id, kind, body, state, reason)
       VALUES ('stripe', 'evt_1NG8Du2eZvKYlo2CUI79vXWy', 'checkout.session.completed', '{"id":"evt_1NG8Du2eZvKYlo2CUI79vXWy","type":"checkout.session.completed"}', 'disputed', 'amount');`,
  );
  return [`/billing/payments/pay_${ids[0]}?cancelled=1`, `/billing/payments/pay_${ids[1]}?back=1`];
}
