# From a flattened network-config version 2 (with or without a "network" key around it) to the plan that
# /usr/lib/guest/network carries out.
BEGIN { FS = "\t" }
{ sub(/^network\//, "") }
$1 !~ /^ethernets\// { next }
{
    n = split($1, part, "/")
    key = part[2]
    if (!(key in seen)) { seen[key] = 1; order[++count] = key; mac[key] = "-"; rename[key] = "-" }
    field = part[3]
    if (field == "match" && part[4] == "macaddress") mac[key] = tolower($2)
    else if (field == "match" && part[4] == "name") mac[key] = "-"
    else if (field == "set-name") rename[key] = $2
    else if (field == "mtu") lines[key] = lines[key] "mtu " key " " $2 "\n"
    else if (field == "addresses") lines[key] = lines[key] "address " key " " $2 "\n"
    else if (field == "dhcp4" && $2 ~ /^(true|yes)$/) dhcp[key] = "dhcp " key "\n"
    else if (field == "gateway4" || field == "gateway6") route(key, "gateway" field, "via", $2)
    else if (field == "routes") route(key, part[4], part[5], $2)
    else if (field == "nameservers" && part[4] == "addresses") dns[key] = dns[key] "dns " key " server " $2 "\n"
    else if (field == "nameservers" && part[4] == "search") dns[key] = dns[key] "dns " key " search " $2 "\n"
}

function route(key, number, what, v,    id) {
    id = key SUBSEP number
    if (!(id in known)) { known[id] = 1; routes[key]++; route_id[key, routes[key]] = id }
    field_of[id, what] = v
}

function or_dash(v) { return v == "" ? "-" : v }

END {
    for (i = 1; i <= count; i++) {
        key = order[i]
        print "interface", key, mac[key], rename[key]
        # Addresses before "up": the interface then announces them as it comes up.
        printf "%sup %s\n%s", lines[key], key, dhcp[key]
        for (j = 1; j <= routes[key]; j++) {
            id = route_id[key, j]
            to = field_of[id, "to"]
            if (to == "" || to == "0.0.0.0/0" || to == "::/0") to = "default"
            # A default route by an IPv6 gateway is an IPv6 route; `network` sees that by the gateway.
            print "route", key, to, or_dash(field_of[id, "via"]), \
                (field_of[id, "on-link"] ~ /^(true|yes)$/ ? "yes" : "no"), or_dash(field_of[id, "metric"])
        }
        printf "%s", dns[key]
    }
}
