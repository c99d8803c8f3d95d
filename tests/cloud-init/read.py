"""Tells how Debian's cloud-init reads what it is given: one JSON object a line in, one a line out.

    {"seed": {"meta-data": TEXT, ...}}   what the data source NoCloud finds in a seed of these files
    {"user_data": TEXT}                  what cloud-init takes user data for
"""
import json
import logging
import os
import sys
import tempfile

sys.path.insert(0, sys.argv[1])

from cloudinit import handlers, helpers, user_data, util  # noqa: E402
from cloudinit.config import schema  # noqa: E402
from cloudinit.net import network_state  # noqa: E402
from cloudinit.sources import DataSourceNoCloud as nocloud  # noqa: E402

logging.disable(logging.CRITICAL)
# Seeds are looked for below one directory alone: neither on this machine's disks nor in its own identity.
util.find_devs_with = lambda *arguments, **options: []
nocloud.dmi.read_dmi_data = lambda key: None
nocloud.load_cmdline_data = lambda fill, cmdline=None: False


def read_seed(files, scratch):
    directory = os.path.join(scratch, "seed", "nocloud")
    os.makedirs(directory, exist_ok=True)
    for name in ["meta-data", "network-config", "user-data", "vendor-data"]:
        path = os.path.join(directory, name)
        if name in files:
            with open(path, "w", encoding="utf-8", newline="") as file:
                file.write(files[name])
        elif os.path.exists(path):
            os.remove(path)
    paths = helpers.Paths({"cloud_dir": scratch, "run_dir": scratch})
    source = nocloud.DataSourceNoCloud({}, None, paths)
    assert source._get_data(), "no seed was found"
    host = source.get_hostname()
    ours = files.get("vendor-data", files["user-data"])
    config = util.load_yaml(ours, default=None)
    schema.validate_cloudconfig_schema(config, strict=True)
    network = network_state.parse_net_config_data(source.network_config)
    return {
        "instance_id": source.get_instance_id(),
        "host": getattr(host, "hostname", host),
        "keys": source.get_public_ssh_keys(),
        "user_data": util.decode_binary(source.userdata_raw),
        "cloud_config": config,
        "type": handlers.type_from_starts_with(ours),
        "interfaces": [
            {
                "name": interface["name"],
                "mac": interface["mac_address"],
                "addresses": [
                    "%s/%s" % (subnet["address"].split("/")[0], subnet.get("prefix", subnet.get("netmask")))
                    for subnet in interface["subnets"]
                ],
            }
            for interface in network.iter_interfaces()
        ],
        "nameservers": [str(server) for server in network.dns_nameservers],
    }


def read_user_data(text, scratch):
    paths = helpers.Paths({"cloud_dir": scratch, "run_dir": scratch})
    processor = user_data.UserDataProcessor(paths)
    # Nothing is fetched: that it would be is the answer.
    fetched = []
    processor._do_include = lambda content, message: fetched.append("text/x-include-url")
    message = processor.process(text.encode("utf-8", "surrogatepass"))
    types = [part.get_content_type() for part in message.walk() if part.get_content_maintype() != "multipart"]
    readable = None
    if handlers.type_from_starts_with(text) == "text/cloud-config":
        readable = util.load_yaml(text, default=None) is not None
    return {"types": types + fetched, "readable": readable}


def main():
    with tempfile.TemporaryDirectory() as scratch:
        for line in sys.stdin:
            case = json.loads(line)
            try:
                if "seed" in case:
                    answer = read_seed(case["seed"], scratch)
                else:
                    answer = read_user_data(case["user_data"], scratch)
            except Exception as error:
                answer = {"error": "%s: %s" % (type(error).__name__, error)}
            print(json.dumps(answer))


main()
