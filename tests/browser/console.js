// The console of a real guest: what is typed in the page reaches it, what it prints is read in the page, and nothing that
// it prints is more than text.
import { test } from "node:test";
import assert from "node:assert/strict";
import { accessibility, overflow } from "./checks.js";
import { picture, settle, signIn, visitor, SIZES } from "./chromium.js";
import { apiToken, letBuy, signUp } from "./furnish.js";
import { eventually, PASSWORD } from "./platform.js";

const EMAIL = "console@example.com";
const SECRET = "only-for-this-guest";
/** Guests are emulated. */
const BOOT_SECONDS = 120;
const SOON = { timeout: 20_000 };

export function consoles(browser, start) {
  test("consoles", async (t) => {
    const platform = await start();
    const other = await browser.newContext({ baseURL: platform.url });
    await signUp(platform, other, EMAIL);
    await letBuy(platform, EMAIL);
    const token = await apiToken(other);
    await other.close();
    const asked = { name: "console-1", plan: "small", image: "test", user_data: `#cloud-config\npassword: ${SECRET}\n` };
    const { instance_id } = await platform.api("POST", "/instances", asked, token);
    const running = async () => (await platform.api("GET", `/instances/${instance_id}`, undefined, token)).state === "running";
    const path = `/instances/${instance_id}/console`;
    const { page, context, problems } = await visitor(browser, platform, { size: SIZES.laptop });
    const dialogs = [];
    page.on("dialog", (dialog) => (dialogs.push(dialog.message()), dialog.dismiss()));
    await signIn(page, EMAIL, PASSWORD);

    let failed = false;
    const step = (name, run) =>
      t.test(`consoles: ${name}`, { skip: failed && "an earlier step failed" }, async () => {
        failed = true;
        try {
          await run();
        } finally {
          await picture(page, `console/${name.replace(/\W+/g, "-")}`);
        }
        assert.deepEqual(problems, []);
        failed = false;
      });
    const says = (text) => page.locator(".console-status", { hasText: text }).waitFor(SOON);
    const rows = () => page.locator(".xterm-rows").innerText();
    const prints = (wanted, seconds = 20) => eventually(`${wanted} in the console`, seconds, async () => (await rows()).replaceAll("\u00a0", " ").includes(wanted));
    const line = async (text) => {
      await page.locator(".xterm-helper-textarea").focus();
      await page.keyboard.type(text);
      await page.keyboard.press("Enter");
    };
    const press = (name) => page.locator(`[data-do=${name}]`).click();

    await step("say that the instance does not run", async () => {
      await page.goto(path);
      await press("connect");
      // It has only just been asked for.
      if (!(await running())) await says("not running");
      await eventually("the guest runs", BOOT_SECONDS, running);
    });
    await step("type into the guest and read what it prints", async () => {
      await page.goto(`/instances/${instance_id}`);
      await page.locator(`.tabs a[href='${path}']`).click();
      await page.waitForURL(`**${path}`);
      await page.locator("[data-kind=serial]").click();
      await press("connect");
      await says("Connected.");
      await eventually("a prompt", BOOT_SECONDS, async () => {
        if ((await rows()).includes("login:")) return true;
        await line("");
        await page.waitForTimeout(1000);
      });
      await line("root");
      await prints("assword:");
      await line(SECRET);
      await prints("# ");
      await line("echo $((6111 * 7))");
      await prints("42777");
    });
    await step("show hostile output as text", async () => {
      const title = await page.title();
      await page.evaluate(() => (window.hacked = []));
      // The sums tell what the guest printed from what was typed.
      await line("a=$((40+2)); printf \"<script>window.hacked.push($a)</script><img src=x onerror=window.hacked.push($a)><b>$a</b>\\n\"");
      await prints("<script>window.hacked.push(42)</script>");
      await prints("<b>42</b>");
      await line("printf '\\033]0;owned\\007\\033]2;owned\\007\\033]8;;https://evil.example/\\033\\\\link\\033]8;;\\033\\\\\\033]52;c;b3duZWQ=\\007\\033[5i'; echo d$((1+0))ne");
      await prints("d1ne");
      const link = page.locator(".xterm-rows span", { hasText: /^link$/ }).first();
      const { x, y } = await link.boundingBox();
      await page.mouse.move(x + 3, y + 3);
      await page.mouse.click(x + 4, y + 4);
      assert.equal(await page.title(), title);
      assert.deepEqual(await page.evaluate(() => window.hacked), []);
      assert.equal(await page.locator("#console-stage :is(script, img, b, a, iframe)").count(), 0);
      assert.deepEqual(dialogs, []);
      assert.equal(context.pages().length, 1);
    });
    await step("type a text and copy what stands there", async () => {
      await line("clear");
      await page.locator(".console-paste summary").click();
      await page.fill("#console-text", "echo a-longer-text $((20 + 3))\n");
      await page.locator("form[data-do=type] button").click();
      await prints("a-longer-text 23");
      await context.grantPermissions(["clipboard-read", "clipboard-write"]);
      await press("copy");
      assert.match(await page.evaluate(() => navigator.clipboard.readText()), /a-longer-text 23/);
    });
    await step("come back by itself", async () => {
      platform.sql("UPDATE console_sessions SET ended_at = now(), end_reason = 'test' WHERE ended_at IS NULL");
      // The server looks every few seconds, and the page comes back with a ticket of its own.
      await page.locator(".console-status[data-look=attention]").waitFor({ timeout: 25_000 });
      await says("Connected.");
      await line("echo back-$((50 + 5))");
      await prints("back-55");
    });
    await step("show the screen and type into it", async () => {
      await line("clear; (read -r text </dev/tty1; echo \"$text\" >/run/text) &");
      await prints("# ");
      await page.locator("[data-kind=vnc]").click();
      await says("Connected.");
      const canvas = page.locator("#console-stage canvas");
      await canvas.waitFor(SOON);
      await eventually("something on the screen", 20, () =>
        canvas.evaluate((element) => {
          const { data } = element.getContext("2d").getImageData(0, 0, element.width, element.height);
          return element.width > 300 && data.some((value, at) => at % 4 < 3 && value !== data[at % 4]);
        }),
      );
      await settle(page);
      await picture(page, "console/screen");
      assert.deepEqual(await overflow(page), []);
      assert.deepEqual(await accessibility(page), []);
      await page.locator(".console-keys summary").click();
      await page.locator("[data-keys='ControlLeft AltLeft F1']").click();
      await page.locator(".console-keys summary").click();
      await page.locator(".console-paste summary").click();
      await page.fill("#console-text", "Type_{this}: \"~!@#$%^&*()|\\<>?é\n");
      await page.locator("form[data-do=type] button").click();
      await says("Typed, except for");
      assert.match(await page.locator(".console-status").textContent(), /é$/);
      await page.locator("[data-kind=serial]").click();
      await says("Connected.");
      await line("clear; cat /run/text");
      await prints("Type_{this}: \"~!@#$%^&*()|\\<>?");
    });
    await step("fill the screen of the reader", async () => {
      await press("full");
      await page.waitForFunction(() => document.fullscreenElement?.classList.contains("console-frame"));
      await press("full");
      await page.waitForFunction(() => !document.fullscreenElement);
    });
    await step("end with the guest and say what to do", async () => {
      await platform.api("POST", `/instances/${instance_id}/actions/power-off`, {}, token);
      await says("Start it");
      await page.locator("[data-do=connect]").waitFor();
      assert.equal(await page.locator("#console-stage > *").count(), 0);
    });
    await context.close();
    await t.test("consoles: without script the page says what to use", async () => {
      const plain = await visitor(browser, platform, { script: false });
      await signIn(plain.page, EMAIL, PASSWORD);
      await plain.page.goto(path);
      await plain.page.locator("noscript, .alert-info", { hasText: "ssh " }).first().waitFor();
      assert.equal(await plain.page.locator("#console").isVisible(), false);
      await plain.context.close();
    });
  });
}
