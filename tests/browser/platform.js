// A platform of our own: jst-stack starts it, prints where it is, and stops it when our end of the pipe closes.
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";

export const ROOT = fileURLToPath(new URL("../../", import.meta.url));
export const PASSWORD = "correct horse battery";

/** Looks every 100 ms until `condition` gives something, and fails after `seconds`. */
export async function eventually(what, seconds, condition) {
  const end = Date.now() + seconds * 1000;
  for (;;) {
    const found = await condition();
    if (found) return found;
    if (Date.now() > end) throw new Error(`waited ${seconds} s in vain for: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

export class Platform {
  /** `guests` is "simulated" or "real". */
  static async start(guests) {
    const child = spawn(`${ROOT}target/debug/jst-stack`, [guests], { stdio: ["pipe", "pipe", "inherit"] });
    const exited = once(child, "exit");
    let text = "";
    const ready = (async () => {
      for await (const chunk of child.stdout) {
        text += chunk;
        if (text.includes("\n")) return JSON.parse(text.slice(0, text.indexOf("\n")));
      }
      throw new Error(`jst-stack ${guests} ended before it was ready`);
    })();
    return Object.assign(new Platform(), { child, exited }, await ready);
  }

  async stop() {
    this.child.stdin.end();
    const [status] = await this.exited;
    if (status !== 0) throw new Error(`jst-stack ended with status ${status}`);
  }

  /** For what only time makes: statements as the owner of the database. */
  sql(statements) {
    execFileSync("psql", ["--quiet", "--no-psqlrc", "--set=ON_ERROR_STOP=1", this.database], { input: statements, stdio: ["pipe", "ignore", "inherit"] });
  }

  /** The API. Gives the parsed answer; a refusal is an error. */
  async api(method, path, body, token = this.admin_token) {
    const answer = await fetch(`${this.url}/api/v1${path}`, {
      method,
      headers: { authorization: `Bearer ${token}`, ...(body && { "content-type": "application/json" }) },
      body: body && JSON.stringify(body),
    });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text}`);
    return text ? JSON.parse(text) : undefined;
  }

  /** What stands behind `marker` in the newest mail to this address. */
  async tokenInMail(email, marker) {
    const env = { ...process.env, RUST_LOG: "warn" };
    delete env.DATABASE_URL;
    const command = ["--data-dir", this.data_directory, "mails", "--to", email];
    const mails = await eventually(`a mail to ${email} with ${marker}`, 20, () => {
      const text = execFileSync(`${ROOT}target/debug/jst-server`, command, { env, encoding: "utf8", stdio: ["ignore", "pipe", "inherit"] });
      return text.includes(marker) && text;
    });
    return mails.split(marker)[1].match(/^[\w-]+/)[0];
  }

  /** Whether nothing is left in the state `busy` of the customer's operations. */
  async operationEnds(token, id) {
    return eventually(`the end of operation ${id}`, 90, async () => {
      const operation = await this.api("GET", `/operations/${id}`, undefined, token);
      return !["pending", "running"].includes(operation.state) && operation;
    });
  }
}
