# shellcheck shell=bash
# Where things stand.  Everything that a run makes is below var/, which git ignores; programs stay
# where cargo puts them.

# shellcheck disable=SC2034  # used by the scripts that source this
repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
var=${JST_VAR:-$repository/var}
run=$var/run
log=$var/log
server_data=$var/server
agent_data=$var/agent
images=$var/images
credentials=$var/credentials.env
settings=$var/settings.env
programs=${CARGO_TARGET_DIR:-$repository/target}/debug
server_program=$programs/jst-server
agent_program=$programs/jst-agent

# What may be chosen by the environment at the first run; later runs keep it, because the database,
# the certificates and the names of network devices depend on it.
choices=(JST_LISTEN JST_PUBLIC_URL JST_AGENT_LISTEN JST_AGENT_NAMES JST_NETWORK_PREFIX JST_UPLINK_KBIT JST_POOL_V4 JST_POOL_V6)

# Reads the choices of earlier runs; what the environment says now goes before them.
read_settings() {
    local name value
    [ -f "$settings" ] || return 0
    while IFS='=' read -r name value; do
        [[ " ${choices[*]} " == *" $name "* ]] || continue
        [ -n "${!name:-}" ] || printf -v "$name" '%s' "$value"
    done <"$settings"
}

write_settings() {
    local name
    for name in "${choices[@]}"; do printf '%s=%s\n' "$name" "${!name:-}"; done >"$settings.new"
    mv "$settings.new" "$settings"
}

# Two runs at once would fight over the same processes.  The lock is held by descriptor 9, which no
# process that we leave behind may inherit.
take_lock() {
    mkdir -p "$run"
    exec 9>"$run/lock"
    flock -n 9 || fail "another deploy/up or deploy/down is at work on $var" 'wait for it to end, and try again'
}
