# shellcheck shell=bash
# Builds the programs, with progress for people and for logs.

# The committed .sqlx answers for the database; a developer's own DATABASE_URL or .env must not
# decide whether the platform builds.
offline_cargo=(env -u DATABASE_URL SQLX_OFFLINE=true cargo)

# build_programs CARGO-ARGUMENTS...
build_programs() {
    local output=$log/build.log
    mkdir -p "$log"
    cd "$repository" || exit
    say 'building the programs (a first build takes some minutes)'
    if [ -t 2 ]; then
        # Cargo draws its own progress on a terminal.
        "${offline_cargo[@]}" build --locked "$@" 9>&- || fail 'the build failed' 'the errors stand above'
    else
        "${offline_cargo[@]}" build --locked "$@" >"$output" 2>&1 9>&- &
        building=$!
        report_build $building "$output" || explain_build "$output"
        building=
    fi
}

# For the EXIT trap of the caller: a background process does not hear Ctrl-C, and must not go on
# building for nobody.
building=
end_build() { [ -z "$building" ] || kill "$building" 2>/dev/null || true; }

# report_build PID LOG: a line every 20 seconds, because nobody watches silence for long.
report_build() {
    local told=$SECONDS
    while kill -0 "$1" 2>/dev/null; do
        if ((SECONDS - told >= 20)); then
            say "building: $(grep -c '^ *Compiling' "$2") crates begun, the last is $(grep '^ *Compiling' "$2" | tail -n 1 | awk '{ print $2 }')"
            told=$SECONDS
        fi
        sleep 0.5
    done
    wait "$1"
}

explain_build() {
    grep -E -A 12 '^error|panicked at' "$1" | cut -c 1-300 | head -40 >&2 || true
    ! grep -q 'No space left on device' "$1" || fail 'the build failed: the disk is full' 'make room, and run this again'
    show_log "$1" 3
    ! grep -q 'no cached data for this query' "$1" ||
        fail 'the build failed: .sqlx does not know a query of the server' 'run tests/queries, which writes .sqlx anew'
    fail 'the build failed' "everything it said is in $1"
}
