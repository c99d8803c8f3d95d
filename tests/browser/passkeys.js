// Passkeys with the browser's own virtual authenticator: made, used, refused, removed.
import { test } from "node:test";
import assert from "node:assert/strict";
import { accessibility, overflow } from "./checks.js";
import { picture, SIZES, visitor } from "./chromium.js";
import { signUp } from "./furnish.js";
import { PASSWORD } from "./platform.js";

const EMAIL = "passkey@example.com";

export function passkeys(browser, start) {
  test("passkeys", async (t) => {
    const platform = await start();
    // A passkey belongs to a name, and the platform's is this one.
    const here = { url: platform.url.replace("127.0.0.1", "localhost") };
    const { page, context, problems } = await visitor(browser, here, { size: SIZES.phone });
    const devices = await context.newCDPSession(page);
    await devices.send("WebAuthn.enable");
    const options = { protocol: "ctap2", transport: "internal", hasResidentKey: true, hasUserVerification: true, isUserVerified: true, automaticPresenceSimulation: true };
    const { authenticatorId } = await devices.send("WebAuthn.addVirtualAuthenticator", { options });
    await signUp(platform, context, EMAIL);
    const submit = () => page.locator("main form [type=submit]").last().click();
    const signOut = () => context.request.post("/sign-out", { failOnStatusCode: true });
    const path = () => new URL(page.url()).pathname;
    const step = (name, run) =>
      t.test(`passkeys: ${name}`, async () => {
        await run();
        assert.deepEqual(await accessibility(page), []);
        assert.deepEqual(await overflow(page), []);
        await picture(page, `passkeys/${name}`);
        assert.deepEqual(problems.splice(0), []);
      });
    let sent;

    await step("the password first", async () => {
      await page.goto("/security");
      await page.locator("a[href='/security/passkeys/new']").click();
      await page.fill("[name=name]", "My phone");
      await page.fill("[name=current_password]", "wrong words");
      await submit();
      await page.locator("[aria-invalid=true][name=current_password]").waitFor();
    });
    await step("then the device", async () => {
      await page.fill("[name=current_password]", PASSWORD);
      await submit();
      await page.locator("form[data-passkey]").waitFor();
    });
    await step("and it is in the list", async () => {
      await submit();
      await page.waitForURL(/\/security$/);
      await page.getByRole("rowheader", { name: "My phone" }).waitFor();
      await page.goto("/notifications");
      await page.getByText("A passkey was added to your account").waitFor();
    });
    await step("it signs in", async () => {
      await signOut();
      await page.goto("/sign-in?next=/ssh-keys");
      page.on("request", (request) => {
        if (request.url().endsWith("/sign-in/passkey")) sent = request.postData();
      });
      await submit();
      await page.waitForURL(({ pathname }) => pathname === "/ssh-keys");
    });
    await step("an answer is good once", async () => {
      assert.match(sent, /answer=.+/);
      // Many authenticators do not count, so that the counter is no help.
      platform.sql("UPDATE passkeys SET credential = jsonb_set(credential, '{cred,counter}', '0')");
      await signOut();
      const headers = { "content-type": "application/x-www-form-urlencoded" };
      const again = await context.request.post("/sign-in/passkey", { data: sent, headers, maxRedirects: 0 });
      assert.equal(again.status(), 422);
      await page.goto("/dashboard");
      assert.equal(path(), "/sign-in");
    });
    await step("not without its owner", async () => {
      await devices.send("WebAuthn.setUserVerified", { authenticatorId, isUserVerified: false });
      await page.goto("/sign-in");
      await submit();
      await page.locator("[data-passkey-refused]:not([hidden])").waitFor();
      assert.equal(path(), "/sign-in");
      await devices.send("WebAuthn.setUserVerified", { authenticatorId, isUserVerified: true });
    });
    await step("after a reset it waits for its owner", async () => {
      platform.sql("UPDATE passkeys SET unconfirmed_at = now()");
      await page.goto("/sign-in");
      await submit();
      await page.getByText("This passkey did not sign you in").waitFor();
      await context.request.post("/sign-in", { form: { email: EMAIL, password: PASSWORD }, failOnStatusCode: true });
      await page.goto("/security");
      await page.locator("a[href$='/confirm']").click();
      await page.waitForURL(/\/confirm$/);
    });
    await step("and signs in once confirmed", async () => {
      await page.fill("[name=current_password]", PASSWORD);
      await submit();
      await page.waitForURL(/\/security$/);
      await signOut();
      await page.goto("/sign-in");
    });
    await step("removing it takes the password", async () => {
      await submit();
      await page.waitForURL(/\/dashboard$/);
      await page.goto("/security");
      await page.locator("a[href$='/remove']").click();
      await page.fill("[name=current_password]", "wrong words");
      await submit();
      await page.locator("[aria-invalid=true][name=current_password]").waitFor();
    });
    await step("removed, it opens nothing", async () => {
      await page.fill("[name=current_password]", PASSWORD);
      await submit();
      await page.waitForURL(/\/security$/);
      await page.getByRole("rowheader", { name: "My phone" }).waitFor({ state: "detached" });
      await signOut();
      await page.goto("/sign-in");
      await submit();
      await page.getByText("This passkey did not sign you in").waitFor();
      await page.goto("/dashboard");
      assert.equal(path(), "/sign-in");
    });
    await context.close();
  });
}
