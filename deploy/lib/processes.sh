# shellcheck shell=bash
# Background processes without a service manager.  A process is remembered as "PID START-TIME" in
# var/run/NAME.pid: a number alone may meanwhile belong to somebody else, and nobody else's process
# is ever signalled.

# The start time of a process, in ticks since boot; nothing where there is no such process.
start_time() {
    # The command's name stands in parentheses and may hold anything, so fields are counted after it.
    sed -n 's/^.*) //p' "/proc/$1/stat" 2>/dev/null | cut -d ' ' -f 20
}

# remember NAME PID
remember() {
    mkdir -p "$run"
    printf '%s %s\n' "$2" "$(start_time "$2")" >"$run/$1.pid"
}

# The process id of NAME if that very process still runs.
pid_of() {
    local pid start
    [ -f "$run/$1.pid" ] || return 1
    read -r pid start <"$run/$1.pid" || return 1
    [ -n "$start" ] && [ "$(start_time "$pid")" = "$start" ] || return 1
    # A process that has ended and that nobody has waited for is no longer running.
    ! grep -q '^State:[[:space:]]*Z' "/proc/$pid/status" 2>/dev/null || return 1
    printf '%s\n' "$pid"
}

is_running() { pid_of "$1" >/dev/null; }
has_ended() { ! is_running "$1"; }

# start NAME COMMAND...: runs the command in a session of its own, so that it outlives this shell.
# Where it runs already it is left alone, unless its program, its arguments or the file that the last
# of them names are new.
start() {
    local name=$1 version last=${*: -1}
    shift
    version=$({ sha256sum <"$1" && printf '%s\n' "$@" && { [ ! -f "$last" ] || cat "$last"; }; } | sha256sum)
    if is_running "$name"; then
        if [ "$(cat "$run/$name.version" 2>/dev/null)" = "$version" ]; then
            say "the $name runs already"
            return 0
        fi
        say "the $name is of an older build or was started otherwise: restarting it"
        stop "$name" 40
    fi
    say "starting the $name"
    mkdir -p "$log"
    keep_log_short "$log/$name.log"
    printf '%s\n' "$version" >"$run/$name.version"
    # Colours are for terminals.
    NO_COLOR=1 setsid "$@" >>"$log/$name.log" 2>&1 </dev/null 9>&- &
    remember "$name" $!
    disown
}

# stop NAME SECONDS: asks it to end, and ends it when it has not done so in time.
stop() {
    local pid
    if pid=$(pid_of "$1"); then
        kill -TERM "$pid" 2>/dev/null || true
        if ! wait_for "$2" "the $1 to stop" has_ended "$1"; then
            note "the $1 did not stop in $2 s and was killed"
            kill -KILL "$pid" 2>/dev/null || true
        fi
    fi
    rm -f "$run/$1.pid" "$run/$1.version"
}

# A log is never written to for ever: above 20 MB it becomes NAME.log.1 at the next start.
keep_log_short() {
    [ "$(stat -c %s "$1" 2>/dev/null || echo 0)" -lt 20000000 ] || mv "$1" "$1.1"
}
