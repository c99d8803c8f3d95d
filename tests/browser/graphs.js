// Graphs: drawn by the script where there is one, by the server where there is none, and the same figures in both.
import { test } from "node:test";
import assert from "node:assert/strict";
import { overflow } from "./checks.js";
import { picture, settle, signIn, SIZES, visitor } from "./chromium.js";
import { apiToken, letBuy, signUp } from "./furnish.js";
import { inventHistory } from "./history.js";
import { PASSWORD } from "./platform.js";

const GRAPHS = 6;

export function graphs(browser, start) {
  test("graphs", async (t) => {
    const platform = await start();
    const email = "graphs@example.com";
    const other = await browser.newContext({ baseURL: platform.url });
    await signUp(platform, other, email);
    await letBuy(platform, email);
    const token = await apiToken(other);
    await other.close();
    const { id, instance_id } = await platform.api("POST", "/instances", { name: "graph-1", plan: "small", image: "test" }, token);
    await platform.operationEnds(token, id);
    const path = `/instances/${instance_id}/graphs`;

    await t.test("teach where there is nothing yet", async () => {
      const { page, context, problems } = await visitor(browser, platform, {});
      await signIn(page, email, PASSWORD);
      await page.goto(path);
      await page.locator("#graphs .empty").waitFor();
      assert.equal(await page.locator("canvas").count(), 0);
      await picture(page, "graphs/empty");
      assert.deepEqual(problems, []);
      await context.close();
    });
    inventHistory(platform, instance_id);

    await t.test("are drawn, follow the cursor and keep to the page", async () => {
      const { page, context, problems } = await visitor(browser, platform, {});
      await signIn(page, email, PASSWORD);
      await page.goto(path);
      for (const range of ["Hour", "Day", "Week", "Month"]) {
        await page.getByRole("link", { name: range, exact: true }).click();
        await page.locator("canvas").nth(GRAPHS - 1).waitFor();
        assert.equal(await page.locator("canvas").count(), GRAPHS, range);
        assert.equal(await page.locator(".graph-plot > svg:visible").count(), 0, "the server's drawing makes room");
        // Something was painted: not all pixels are the same.
        const painted = await page.$$eval("canvas", (all) =>
          all.map((canvas) => new Set(new Uint32Array(canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data.buffer)).size),
        );
        assert.ok(painted.every((colours) => colours > 3), `${range}: ${painted}`);
      }
      await page.getByRole("link", { name: "Day", exact: true }).click();
      const head = page.locator("[data-graph=cpu] th[data-at]");
      assert.equal(await head.textContent(), "Latest");
      const latest = await page.locator("[data-graph=cpu] td[data-value]").first().textContent();
      await page.locator("[data-graph=cpu] .u-over").hover({ position: { x: 60, y: 40 } });
      assert.match(await head.textContent(), /\d\d:\d\d/);
      assert.match(await page.locator("[data-graph=cpu] td[data-value]").first().textContent(), /vCPU|—/);
      await page.locator("h1").hover();
      assert.equal(await head.textContent(), "Latest");
      assert.equal(await page.locator("[data-graph=cpu] td[data-value]").first().textContent(), latest);
      for (const size of [SIZES.desktop, SIZES.phone]) {
        await page.setViewportSize(size);
        await settle(page);
        assert.deepEqual(await overflow(page), []);
        const [box, canvas] = await page.$eval("[data-graph=cpu] .graph-plot", (box) => [box.clientWidth, box.querySelector(".uplot").clientWidth]);
        assert.equal(canvas, box, "as wide as there is room");
      }
      assert.deepEqual(problems, []);
      await context.close();
    });

    await t.test("can be read without script", async () => {
      const { page, context, problems } = await visitor(browser, platform, { script: false });
      await signIn(page, email, PASSWORD);
      await page.goto(path);
      await page.getByRole("link", { name: "Week", exact: true }).click();
      assert.equal(await page.locator(".graph-plot > svg:visible").count(), GRAPHS);
      assert.match(await page.locator("[data-graph=memory] tbody tr").first().textContent(), /Used.*MiB/);
      await picture(page, "graphs/without-script");
      assert.deepEqual(problems, []);
      await context.close();
    });
  });
}
