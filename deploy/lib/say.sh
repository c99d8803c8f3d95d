# shellcheck shell=bash
# How the scripts here talk: one line a step, with the seconds since the start.  Sourced by bash with
# `set -euo pipefail`.

say() { printf '[%4d s] %s\n' "$SECONDS" "$*"; }

# Something that the reader should know and that stops nothing.
note() { say "note: $*"; }

# fail WHAT [WHAT TO DO]...: says what went wrong, what to do, and ends.
fail() {
    printf '[%4d s] failed: %s\n' "$SECONDS" "$1" >&2
    shift
    local line
    for line in "$@"; do printf '         %s\n' "$line" >&2; done
    exit 1
}

# The last lines of a log, indented, for a message of failure.
show_log() {
    [ -s "$1" ] || return 0
    printf '         the end of %s:\n' "$1" >&2
    tail -n "${2:-15}" "$1" | sed 's/^/           | /' >&2
}

# wait_for SECONDS WHAT COMMAND...: tries the command twice a second until it succeeds.  Every ten
# seconds it says what it waits for; after SECONDS it gives up with status 1.
wait_for() {
    local limit=$1 what=$2 begun=$SECONDS told=$SECONDS
    shift 2
    until "$@"; do
        ((SECONDS - begun < limit)) || return 1
        if ((SECONDS - told >= 10)); then
            say "waiting for $what ($((SECONDS - begun)) of at most $limit s)"
            told=$SECONDS
        fi
        sleep 0.5
    done
}
