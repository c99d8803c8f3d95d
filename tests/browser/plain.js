// The main ways through the portal in a browser that runs no script: everything works, nothing moves by itself.
import { test } from "node:test";
import assert from "node:assert/strict";
import { picture, signIn, visitor } from "./chromium.js";
import { joinTeam, signUp, sshKey } from "./furnish.js";
import { eventually, PASSWORD } from "./platform.js";

export function plain(browser, start) {
  test("without script", async (t) => {
    const platform = await start();
    const email = "plain@example.com";
    const other = await browser.newContext({ baseURL: platform.url });
    const send = await signUp(platform, other, email);
    await send("/team/name", { name: "Plain" });
    await joinTeam(platform, browser, send, email, "plain-owner@example.com", "Other");
    await other.close();
    const { page, context, problems } = await visitor(browser, platform, { script: false });
    const submit = (form) => page.locator(form).locator("[type=submit]").first().click();
    const reloadUntil = (what, condition) => eventually(what, 60, async () => (await page.reload()) && condition());
    const step = async (name, run) => {
      await t.test(`without script: ${name}`, async () => {
        await run();
        await picture(page, `plain/${name}`);
        assert.deepEqual(problems, []);
      });
    };

    await step("sign in", async () => {
      await signIn(page, email, PASSWORD);
      assert.equal(new URL(page.url()).pathname, "/dashboard");
    });
    await step("switch team", async () => {
      const team = page.locator("header .tenant summary");
      const goTo = (name) => page.locator("header .tenant button", { hasText: name }).click();
      await page.goto("/team");
      assert.match(await team.textContent(), /Plain/, "one's own team comes first");
      await team.click();
      await goTo("Other");
      await page.getByRole("heading", { name: "Other", level: 1 }).waitFor();
      assert.equal(new URL(page.url()).pathname, "/team", "a list is there in every team");
      await team.click();
      await picture(page, "plain/switch team-open");
      await goTo("Plain");
      await page.getByRole("heading", { name: "Plain", level: 1 }).waitFor();
    });
    await step("add a key", async () => {
      await page.goto("/ssh-keys");
      await page.fill("[name=public_key]", sshKey("plain@laptop"));
      await submit("form[action='/ssh-keys']");
      await page.getByRole("rowheader", { name: "plain@laptop" }).waitFor();
    });
    await step("create", async () => {
      await page.goto("/instances/new");
      await page.check("[name=plan][value=trial]");
      await page.check("[name=image]");
      await page.fill("[name=name]", "quiet-1");
      await page.check("[name=ssh_keys]");
      await submit("form[action='/instances']");
      await page.waitForURL(/\/instances\/vm_/);
      await reloadUntil("a running instance", () => page.locator("#instance-head .is-running").count());
    });
    const own = new URL(page.url()).pathname;
    await step("shut down", async () => {
      await submit(`form[action='${own}/shutdown']`);
      await reloadUntil("a stopped instance", () => page.locator("#instance-head .is-stopped").count());
    });
    await step("delete", async () => {
      await page.goto(`${own}/delete`);
      // No script keeps the button off: the server checks the name.
      await page.fill("[name=confirm]", "another");
      await submit(`form[action='${own}/delete']`);
      await page.locator(".has-error [name=confirm]").fill("quiet-1");
      await page.check("[name=now]");
      await submit(`form[action='${own}/delete']`);
      await page.goto("/instances");
      await reloadUntil("an empty list", async () => !(await page.getByText("quiet-1").count()));
    });
    await context.close();
  });
}
