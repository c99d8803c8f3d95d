// The palette: one field over every page, reached and used by keys alone, and a page for those without script.
import { test } from "node:test";
import assert from "node:assert/strict";
import { accessibility, overflow } from "./checks.js";
import { picture, settle, signIn, SIZES, visitor } from "./chromium.js";
import { PASSWORD } from "./platform.js";

export function palette(browser, start) {
  test("the palette", async (t) => {
    const platform = await start();

    await t.test("leads to a host by keys alone", async () => {
      const { page, context, problems } = await visitor(browser, platform, {});
      await signIn(page, platform.admin_email, PASSWORD);
      await page.goto("/admin/settings");
      await page.keyboard.press("Control+k");
      const dialog = page.locator("dialog.palette");
      await dialog.getByRole("link", { name: "Hosts" }).waitFor();
      assert.deepEqual(await accessibility(page), []);
      for (const size of [SIZES.phone, SIZES.desktop]) {
        await page.setViewportSize(size);
        await settle(page);
        assert.deepEqual(await overflow(page), []);
      }
      await page.keyboard.press("Escape");
      await dialog.waitFor({ state: "hidden" });
      // Opened again it is empty, and the first line is where the enter key leads.
      await page.keyboard.press("Control+k");
      await page.keyboard.type("host-");
      const host = dialog.locator('a[href^="/admin/hosts/host_"]').first();
      await host.waitFor();
      await picture(page, "palette/admin");
      await page.keyboard.press("ArrowDown");
      assert.ok(await host.evaluate((link) => link === document.activeElement), "the arrow leads into the list");
      await page.keyboard.press("ArrowUp");
      await page.keyboard.press("Enter");
      await page.waitForURL(/\/admin\/hosts\/host_/);
      assert.deepEqual(problems, []);
      await context.close();
    });

    await t.test("is a page without script", async () => {
      const { page, context, problems } = await visitor(browser, platform, { script: false });
      await signIn(page, platform.admin_email, PASSWORD);
      await page.goto("/admin");
      await page.getByRole("link", { name: /^Search/ }).click();
      await page.getByRole("searchbox").fill("<b>no such thing</b>");
      await page.getByRole("button", { name: "Search" }).click();
      await page.getByText("<b>no such thing</b>").waitFor();
      assert.deepEqual(problems, []);
      await context.close();
    });
  });
}
