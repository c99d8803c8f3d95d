# shellcheck shell=bash
# Builds the programs, with progress for people and for logs.

# The committed .sqlx answers for the database; a developer's own DATABASE_URL or .env must not
# decide whether the platform builds.
cargo_offline() { (cd "$repository" && env -u DATABASE_URL SQLX_OFFLINE=true cargo "$@"); }

# build_programs CARGO-ARGUMENTS...
build_programs() {
    local output=$log/build.log
    mkdir -p "$log"
    say 'building the programs (a first build takes some minutes)'
    if [ -t 2 ]; then
        # Cargo draws its own progress on a terminal.
        cargo_offline build --locked "$@" 9>&- || fail 'the build failed' 'the errors stand above'
    else
        cargo_offline build --locked "$@" >"$output" 2>&1 9>&- &
        report_build $! "$output" || {
            grep -A 12 '^error' "$output" | head -40 >&2 || true
            show_log "$output" 3
            ! grep -q 'no cached data for this query' "$output" ||
                fail 'the build failed: .sqlx does not know a query of the server' 'run tests/queries, which writes .sqlx anew'
            fail 'the build failed' "everything it said is in $output"
        }
    fi
}

# report_build PID LOG: a line every 20 seconds, because nobody watches silence for long.
report_build() {
    local told=$SECONDS
    while kill -0 "$1" 2>/dev/null; do
        if ((SECONDS - told >= 20)); then
            say "building: $(grep -c "^ *Compiling" "$2") crates begun, the last is $(grep "^ *Compiling" "$2" | tail -n 1 | awk '{ print $2 }')"
            told=$SECONDS
        fi
        sleep 0.5
    done
    wait "$1"
}
