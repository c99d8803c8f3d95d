# shellcheck shell=bash
# What the tests came to.  Every part, suite and check adds its sum to $results/sums and, where something failed, what
# it said to $results/failures; `conclude` shows all failures at the end and prints the closing line.

# begin_results FOLDER
begin_results() {
    results=$1
    mkdir -p "$results"
    : >"$results/sums"
    : >"$results/failures"
}

# add_result NAME PASSED FAILED
add_result() {
    printf '%s %d %d\n' "$1" "$2" "$3" >>"$results/sums"
    say "  $1: $2 passed, $3 failed"
}

# run_part NAME: a part that ends early costs itself one failure, and the others nothing.
run_part() {
    local status
    say "$1"
    set +e
    (
        set -e
        "part_$1"
    )
    status=$?
    set -e
    [ $status = 0 ] || {
        printf '=== the part %s ended early, with status %d; its last words stand above\n' "$1" $status >>"$results/failures"
        add_result "$1" 0 1
    }
}

# check NAME COMMAND...: counts as one test.
check() {
    local name=$1
    shift
    if "$@" >"$results/$name.log" 2>&1 </dev/null 9>&-; then
        add_result "$name" 1 0
    else
        keep_failure "$name"
        add_result "$name" 0 1
    fi
}

# record NAME COMMAND...: runs it and adds up its lines "test result: …; N passed; N failed" or
# "N passed, N failed".
record() {
    local name=$1 output=$results/$1.log status=0 good bad
    shift
    "$@" >"$output" 2>&1 </dev/null || status=$?
    read -r good bad < <(awk '
        /^test result: / { for (i = 2; i <= NF; i++) { if ($i == "passed;") good += $(i-1); if ($i == "failed;") bad += $(i-1) } }
        /^[0-9]+ passed, [0-9]+ failed$/ { good += $1; bad += $3 }
        END { print good + 0, bad + 0 }' "$output")
    # It may have failed without saying so: a crash, or a test that does not compile.
    if [ $status != 0 ] && [ "$bad" = 0 ]; then bad=1; fi
    [ $status = 0 ] || keep_failure "$name"
    add_result "$name" "$good" "$bad"
}

# quietly NAME COMMAND...: what must work before anything can be tested.
quietly() {
    local name=$1
    shift
    "$@" >"$results/$name.log" 2>&1 </dev/null || {
        keep_failure "$name"
        fail "this did not work: $*" "its output is in $results/$name.log"
    }
}

# keep_failure NAME: the first lines that name failures, then what each failed test said, then the end of the log.
# awk reads to the end where head would not: a writer whose reader has gone fails, and takes the script with it.
keep_failure() {
    local output=$results/$1.log
    {
        printf '=== %s (all of it: %s)\n' "$1" "$output"
        first_lines 60 < <(grep -aE '^(error|test .* FAILED|thread .* panicked)' "$output")
        first_lines 200 < <(sed -n '/^failures:$/,/^test result/p' "$output")
        printf -- '--- its end\n'
        tail -n 40 "$output"
    } >>"$results/failures"
}

first_lines() { awk -v most="$1" 'NR <= most { print substr($0, 1, 2000) }'; }

# conclude: what failed, then the closing line; false when something did.
conclude() {
    local passed failed
    if [ -s "$results/failures" ]; then
        say 'what failed'
        cat "$results/failures" >&2
    fi
    read -r passed failed < <(awk '{ passed += $2; failed += $3 } END { print passed + 0, failed + 0 }' "$results/sums")
    say 'done'
    printf '%d passed, %d failed\n' "$passed" "$failed"
    [ "$failed" = 0 ]
}
