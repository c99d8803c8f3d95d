"""The package `standardwebhooks` of PyPI about a message on standard input: {secret, headers, body}.  It verifies the
message, refuses one that was changed, and prints the signature that it makes itself."""

import json
import sys
from datetime import datetime, timezone

from standardwebhooks.webhooks import Webhook, WebhookVerificationError

given = json.load(sys.stdin)
headers, body = given["headers"], given["body"]
webhook = Webhook(given["secret"])


def refuses(changed_body, changed_headers):
    try:
        webhook.verify(changed_body, changed_headers)
    except WebhookVerificationError:
        return
    sys.exit("a changed message was accepted")


if webhook.verify(body, headers) != json.loads(body):
    sys.exit("another message")
refuses(body + " ", headers)
refuses(body, {**headers, "webhook-id": "msg_other"})
refuses(body, {**headers, "webhook-timestamp": str(int(headers["webhook-timestamp"]) + 1)})
at = datetime.fromtimestamp(int(headers["webhook-timestamp"]), tz=timezone.utc)
print(webhook.sign(headers["webhook-id"], at, body), end="")
