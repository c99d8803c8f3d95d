// A customer's way on a real platform: from the landing page to a guest that answers, and back to nothing.
import { connect } from "node:net";
import { test } from "node:test";
import assert from "node:assert/strict";
import { picture, pictures, settle, signIn, visitor } from "./chromium.js";
import { nameCatalogue, sshKey } from "./furnish.js";
import { eventually, PASSWORD } from "./platform.js";

const EMAIL = "you@example.com";
const NAME = "first-1";

/** Guests are emulated, and the machine has other things to do. */
const BOOT_SECONDS = 120;

export function journey(browser, start) {
  test("a customer's way", async (t) => {
    const platform = await start();
    await nameCatalogue(platform);
    const { page, context, problems } = await visitor(browser, platform);
    let failed = false;
    let number = 0;
    // A step stands on the one before it.
    const step = (name, run) => {
      number += 1;
      const file = `journey/${String(number).padStart(2, "0")}-${name.replace(/\W+/g, "-")}`;
      return t.test(`a customer's way: ${name}`, { skip: failed && "an earlier step failed" }, async () => {
        failed = true;
        try {
          await run(file);
        } finally {
          await settle(page);
          await picture(page, file);
        }
        assert.deepEqual(problems, []);
        failed = false;
      });
    };
    const submit = (form) => page.locator(form).locator("[type=submit]").first().click();
    const state = (look) => page.locator(`#instance-head .instance-facts .is-${look}`);
    const idle = () => page.locator("#instance-head .progress").waitFor({ state: "detached", timeout: BOOT_SECONDS * 1000 });

    await step("landing", async (file) => {
      await page.goto("/");
      await pictures(page, file);
      const chinese = await visitor(browser, platform, { language: "zh-CN" });
      await chinese.page.goto("/");
      await pictures(chinese.page, `${file}-zh`);
      await chinese.context.close();
    });
    await step("sign up", async () => {
      await page.click("main a[href='/sign-up']");
      await page.fill("[name=email]", EMAIL);
      await page.fill("[name=password]", PASSWORD);
      await submit("form[action='/sign-up']");
      await page.waitForURL("**/sign-up/done");
    });
    await step("confirm the address", async () => {
      await page.goto(`/verify?token=${await platform.tokenInMail(EMAIL, "/verify?token=")}`);
      await submit("form[action='/verify']");
      await page.waitForURL("**/sign-in");
    });
    await step("sign in", async () => {
      await signIn(page, EMAIL, PASSWORD);
      assert.equal(new URL(page.url()).pathname, "/dashboard");
    });
    await step("add a key", async () => {
      await page.locator("main a[href='/ssh-keys']").first().click();
      await page.fill("[name=public_key]", sshKey("you@laptop"));
      await submit("form[action='/ssh-keys']");
      await page.getByRole("rowheader", { name: "you@laptop" }).waitFor();
    });
    await step("choose a trial", async (file) => {
      await page.click(".brand");
      await page.locator("main a.btn-primary").click();
      await page.waitForURL(/\/instances\/new/);
      await page.check("[name=plan][value=trial]");
      await page.check("[name=image]");
      await page.fill("[name=name]", NAME);
      await page.check("[name=ssh_keys]");
      await pictures(page, file);
    });
    let own, address;
    await step("start it and watch", async (file) => {
      await submit("form[action='/instances']");
      await page.waitForURL(/\/instances\/vm_/);
      own = new URL(page.url()).pathname;
      // What the reader sees pass by without touching anything.
      await page.evaluate(() => {
        window.seen = new Set();
        const look = () => document.querySelectorAll("#instance-head .progress-text, #instance-head .instance-facts .state").forEach((text) => window.seen.add(text.textContent.trim()));
        new MutationObserver(look).observe(document.body, { childList: true, subtree: true, characterData: true });
        look();
      });
      await page.locator("#instance-head .progress").waitFor();
      await picture(page, `${file}-progress`);
      await state("running").waitFor({ timeout: BOOT_SECONDS * 1000 });
      await idle();
      const seen = await page.evaluate(() => [...(window.seen ?? [])]);
      assert.ok(seen.length > 2, `the page was not reloaded, and showed each step: ${seen}`);
    });
    await step("reach it", async (file) => {
      const command = await page.locator("#instance-overview code").filter({ hasText: /^ssh / }).first().textContent();
      address = command.match(/^ssh \S+@([\d.]+)$/)[1];
      await page.locator("#instance-head code").getByText(address, { exact: true }).waitFor();
      await banner(address);
      await pictures(page, file);
    });
    await step("be allowed to buy", async () => {
      const admin = await visitor(browser, platform);
      await signIn(admin.page, platform.admin_email, PASSWORD);
      await admin.page.goto("/admin/customers");
      await admin.page.fill("[name=search]", EMAIL);
      await admin.page.keyboard.press("Enter");
      await admin.page.locator("tbody th a[href^='/admin/customers/']").click();
      await admin.page.check("[name=may_buy]");
      await admin.page.locator("form:has([name=may_buy]) [type=submit]").click();
      await admin.page.locator(".alert-success").waitFor();
      assert.deepEqual(admin.problems, []);
      await admin.context.close();
    });
    await step("resize", async (file) => {
      await page.locator(`main a[href='${own}/resize']`).first().click();
      await page.check("[name=plan][value=large]");
      await picture(page, `${file}-choice`);
      await submit(`form[action='${own}/resize']`);
      await page.waitForURL(`**${own}`);
      await page.locator("#instance-head .tag", { hasText: "Large" }).waitFor();
      await idle();
      await state("running").waitFor();
    });
    await step("shut down", async () => {
      await submit(`form[action='${own}/shutdown']`);
      await state("stopped").waitFor({ timeout: BOOT_SECONDS * 1000 });
      await idle();
    });
    await step("start again", async () => {
      await submit(`form[action='${own}/start']`);
      await state("running").waitFor({ timeout: BOOT_SECONDS * 1000 });
      await idle();
      await banner(address);
    });
    await step("delete", async () => {
      await page.goto(`${own}/settings`);
      await page.locator(`main a[href='${own}/delete']`).first().click();
      const button = `form[action='${own}/delete'] [type=submit]`;
      // The script that holds the button back comes after the page: nothing is typed yet.
      await page.locator(`${button}:disabled`).waitFor();
      await page.fill("[name=confirm]", NAME);
      await page.locator(`${button}:enabled`).waitFor();
      await page.fill("[name=confirm]", "first");
      await page.locator(`${button}:disabled`).waitFor();
      await page.fill("[name=confirm]", NAME);
      await page.check("[name=now]");
      await page.click(button);
      await page.waitForURL((url) => !url.pathname.endsWith("/delete"));
    });
    await step("gone", async () => {
      await page.goto("/instances");
      await page.getByRole("rowheader", { name: NAME }).waitFor({ state: "detached", timeout: 60_000 });
      assert.equal((await page.goto(own)).status(), 404);
    });
    await context.close();
  });
}

/** Waits until the guest answers as an SSH server does. */
const banner = (address) =>
  eventually(`the SSH server of ${address}`, BOOT_SECONDS, () =>
    new Promise((resolve) => {
      const socket = connect({ host: address, port: 22 });
      const end = (found) => (socket.destroy(), resolve(found));
      socket.setTimeout(2000, () => end(false));
      socket.on("error", () => end(false));
      socket.on("data", (data) => end(data.toString().startsWith("SSH-")));
    }),
  );
