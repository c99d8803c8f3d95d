"""What deploy/up does through the administrators' API.

    operate.py check-token                             does the server know our token?
    operate.py join-token NAME                         prints a token with which a host joins
    operate.py knows-host IDENTITY                     does the server know the host of this identity file?
    operate.py wait-host IDENTITY SECONDS PID          until the host's probe guest has booted
    operate.py fill-catalogue IMAGES SERVER IDENTITY   pools, images, plans and settings, where absent

Reads JST_URL and JST_ADMIN_TOKEN from var/credentials.env (JST_CREDENTIALS names another file).
"""

import json
import os
import pathlib
import shutil
import sys
import time

from catalogue import IMAGES, PLANS, within
from client import Api, Refused, credentials

BEGUN = time.monotonic()
# deploy/up says how long it has run when it calls this.
SECONDS_BEFORE = int(os.environ.get("JST_SECONDS", "0"))


def say(text):
    print(f"[{SECONDS_BEFORE + int(time.monotonic() - BEGUN):4d} s] {text}", flush=True)


def connect():
    known = credentials(os.environ["JST_CREDENTIALS"])
    return Api(known["JST_URL"], known["JST_ADMIN_TOKEN"])


def host_of(api, identity):
    """The server's record of the host that an identity file names, or None."""
    wanted = json.loads(pathlib.Path(identity).read_text())["host_id"].replace("-", "")
    return next((h for h in api.all("/api/v1/admin/hosts") if h["id"].replace("-", "").endswith(wanted)), None)


def check_token(api):
    # 401: no such token; 404: a token of somebody who is no administrator.
    try:
        api.get("/api/v1/admin/settings")
    except Refused as refused:
        if refused.status in (401, 403, 404):
            return 1
        raise
    return 0


def join_token(api, name):
    print(api.post("/api/v1/admin/host-tokens", {"name": name, "nat": True})["token"])
    return 0


def knows_host(api, identity):
    return 0 if host_of(api, identity) else 1


# An agent that starts tries its probe guest again and reports how that went: both kinds of guest, with some room.
RETRIED_WITHIN = 60


def wait_host(api, identity, seconds, pid):
    """Until a probe guest has really booted.  The file /dev/kvm alone proves nothing."""
    begun = told = time.monotonic()
    deadline = begun + float(seconds)
    fresh = False
    while True:
        host = host_of(api, identity) or {}
        status = host.get("qualification", "pending")
        # What the server still has of an earlier run says nothing of this one, until the agent has had time to try again.
        fresh = fresh or status != "failed" or time.monotonic() - begun > RETRIED_WITHIN
        if status == "kvm":
            say("the host is ready: its probe guest booted under KVM")
            return 0
        if status == "emulated":
            say("the host is ready, EMULATED: its probe guest booted only by emulation. Not for production.")
            return 0
        if status == "failed" and fresh:
            print(f"the probe guest did not boot: {host.get('facts')}", file=sys.stderr)
            return 1
        if pid != "0" and not os.path.exists(f"/proc/{pid}"):
            print("the agent has ended", file=sys.stderr)
            return 1
        if time.monotonic() > deadline:
            print(f"the host was still '{status}' after {seconds} s", file=sys.stderr)
            return 1
        if time.monotonic() - told >= 10:
            say("waiting for the host's probe guest" if host.get("last_seen_at") else "waiting for the agent's first report")
            told = time.monotonic()
        time.sleep(0.5)


def fill_catalogue(api, images, server_data, identity):
    host = host_of(api, identity)
    settings(api, host)
    pools(api)
    for slug, name, file, memory, order in IMAGES:
        image(api, pathlib.Path(images, file), pathlib.Path(server_data), slug, name, memory, order)
    known = {plan["slug"] for plan in api.all("/api/v1/admin/plans")}
    for plan in PLANS:
        # What is there stays as it is: it may be the operator's by now.
        if plan["slug"] not in known:
            api.post("/api/v1/admin/plans", within(plan, host["capabilities"]))
            say(f"plan {plan['slug']}")
    return 0


def settings(api, host):
    wanted = {}
    if host and host.get("qualification") == "emulated":
        wanted["allow_emulated"] = True
    if os.environ["JST_LISTEN"].startswith("127."):
        # Every visitor comes from the same loopback address here.
        wanted["trials_per_ip_day"] = wanted["trials_per_network_day"] = wanted["trials_per_device"] = 1000
    now = api.get("/api/v1/admin/settings")
    change = {name: value for name, value in wanted.items() if now.get(name) != value}
    if change:
        api.send("PATCH", "/api/v1/admin/settings", change)
        say("settings: " + ", ".join(f"{name} = {value}" for name, value in change.items()))


def pools(api):
    known = {pool["name"] for pool in api.all("/api/v1/admin/pools")}
    for name, network, nameservers in [
        ("lab-v4", os.environ["JST_POOL_V4"], ["9.9.9.9", "149.112.112.112"]),
        ("lab-v6", os.environ["JST_POOL_V6"], ["2620:fe::fe"]),
    ]:
        if name not in known:
            api.post("/api/v1/admin/pools", {"name": name, "network": network, "nameservers": nameservers})
            say(f"addresses {network}")


def image(api, file, server_data, slug, name, memory, order):
    if not file.exists() or any(known["slug"] == slug for known in api.all("/api/v1/admin/images")):
        return
    # The server takes files of any size from its import directory; it computes and keeps the checksum.
    directory = server_data / "import"
    directory.mkdir(exist_ok=True)
    copy = directory / file.name
    shutil.copyfile(file, copy)
    try:
        known = api.post(
            "/api/v1/admin/images",
            {"slug": slug, "name": name, "format": "qcow2", "path": file.name, "login_user": "root",
             "min_memory_mib": memory, "sort_order": order},
        )
        say(f"image {slug}, SHA-256 {known['sha256'][:16]}…")
    finally:
        copy.unlink()


COMMANDS = {
    "check-token": check_token,
    "join-token": join_token,
    "knows-host": knows_host,
    "wait-host": wait_host,
    "fill-catalogue": fill_catalogue,
}

if __name__ == "__main__":
    try:
        sys.exit(COMMANDS[sys.argv[1]](connect(), *sys.argv[2:]))
    except (Refused, OSError) as error:
        sys.exit(f"the platform did not do as it was asked: {error}")
