"""What deploy/up offers on a new platform: plans with a minimum, a maximum and shares of every resource."""

import copy

MIB = 1024 * 1024


def plan(slug, names, vcpus, memory, disk, mbit, cents, fen, level="normal", trial=False, order=0):
    """A plan whose guaranteed part is half of its memory, a fifth of its processors and a tenth of its bandwidth."""
    network = {
        "reservation": mbit * 100,
        "shares": level,
        "average": mbit * 1000,
        # Twice the average until the bucket is empty, some seconds, so that a page loads at once and a download does not starve others.
        "peak": mbit * 2000,
        "burst": mbit * 2000 * 2 // 8,
    }
    disk_limits = {
        "throughput": {"average": 50 * MIB * vcpus},
        "operations": {"average": 1000 * vcpus},
    }
    return {
        "slug": slug,
        "name_en": names[0],
        "name_zh": names[1],
        "trial": trial,
        "public": True,
        "sort_order": order,
        "price_monthly_usd": cents,
        "price_monthly_cny": fen,
        # A month of billing by the hour is 730 hours, and costs a tenth more than the month's price.
        "price_hourly_usd_micro": cents * 10_000 * 11 // 10 // 730,
        "price_hourly_cny_micro": fen * 10_000 * 11 // 10 // 730,
        "policy": {
            "cpu": {"vcpus": vcpus, "reservation": vcpus * 200, "limit": vcpus * 1000, "shares": level},
            "memory": {"size": memory, "reservation": memory // 2, "limit": memory, "shares": level},
            "disk": {
                "size": disk,
                "reservation": 50 * vcpus,
                "shares": level,
                "read": disk_limits,
                "write": disk_limits,
            },
            "network": {"inbound": network, "outbound": network, "monthly_quota": mbit * 10 * 1024},
        },
    }


PLANS = [
    plan("trial", ("Trial", "试用"), 1, 256, 1024, 20, 0, 0, level="low", trial=True, order=0),
    plan("small", ("Small", "小型"), 1, 512, 4 * 1024, 50, 300, 2100, order=1),
    plan("medium", ("Medium", "中型"), 2, 1024, 8 * 1024, 100, 600, 4200, order=2),
    plan("medium-net", ("Medium, fast network", "中型高带宽"), 2, 1024, 8 * 1024, 400, 900, 6300, order=3),
    plan("large", ("Large", "大型"), 4, 4096, 32 * 1024, 200, 2000, 14000, level="high", order=4),
]



def within(plan, capabilities):
    """The plan without what a host with these capabilities could not keep: it would be no candidate for it."""
    plan = copy.deepcopy(plan)
    if "disk_shares" not in capabilities:
        plan["policy"]["disk"]["shares"] = "normal"
    if "disk_reservation" not in capabilities:
        plan["policy"]["disk"]["reservation"] = 0
    if "network_shares" not in capabilities:
        for way in ("inbound", "outbound"):
            plan["policy"]["network"][way] |= {"reservation": 0, "shares": "normal"}
    return plan


IMAGES = [
    # slug, name, file, least memory in MiB, sort order
    ("micro", "Micro Linux", "micro.qcow2", 128, 1),
    ("debian-12", "Debian 12", "debian-12.qcow2", 256, 0),
]
