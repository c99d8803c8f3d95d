// The package `standardwebhooks` of npm about a message on standard input: {secret, headers, body}.  It verifies the message,
// refuses one that was changed, and prints the signature that it makes itself.
import { readFileSync } from "node:fs";
import { Webhook } from "standardwebhooks";

const { secret, headers, body } = JSON.parse(readFileSync(0, "utf8"));
const webhook = new Webhook(secret);

const refuses = (changedBody, changedHeaders) => {
  try {
    webhook.verify(changedBody, changedHeaders);
  } catch {
    return;
  }
  throw new Error("a changed message was accepted");
};

if (JSON.stringify(webhook.verify(body, headers)) !== JSON.stringify(JSON.parse(body))) throw new Error("another message");
refuses(`${body} `, headers);
refuses(body, { ...headers, "webhook-id": "msg_other" });
refuses(body, { ...headers, "webhook-timestamp": String(Number(headers["webhook-timestamp"]) + 1) });
const at = new Date(Number(headers["webhook-timestamp"]) * 1000);
process.stdout.write(webhook.sign(headers["webhook-id"], at, body));
