# shellcheck shell=bash
# Steps that every image builder here takes: where downloads are kept, which host packages are needed, how an
# unchanged image is recognised, how an image appears in one piece. Sourced by bash with `set -euo pipefail`.
#
# A builder sets nothing before sourcing this. It gets: $repository, $cache, say, install_packages with the lists of
# deploy/lib/machine.sh, download, newest_kernel, unpacked_kernel, is_current, publish, at_exit.

images_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$images_dir/../lib/say.sh"
. "$images_dir/../lib/places.sh"
. "$images_dir/../lib/programs.sh"
. "$images_dir/../lib/machine.sh"
# var/ is ignored by git. Everything in the cache can be deleted at any time.
cache=$repository/var/cache/images
only_declared_programs "$cache/programs"
started=$(date +%s%N)

# Progress lines: seconds since the start, then what happens now.
say() {
    local tenths=$((($(date +%s%N) - started) / 100000000))
    printf '[%4d.%d s] %s\n' $((tenths / 10)) $((tenths % 10)) "$*" >&2
}

die() {
    say "error: $*"
    exit 1
}

# Clean-up commands run in reverse order, however the builder ends: a mount is undone before its directory goes.
exit_commands=()
at_exit() { exit_commands=("$1" "${exit_commands[@]}"); }
run_exit_commands() {
    local status=$? command
    trap - EXIT
    for command in "${exit_commands[@]}"; do eval "$command" || true; done
    exit "$status"
}
trap run_exit_commands EXIT
# Without these, bash would not run the EXIT trap when it is ended by a signal.
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

# A fresh machine has no package lists, and an old one may have lists whose packages are gone.
refresh_lists() {
    say 'reading the package lists'
    apt update
}

# The newest version that apt offers of each package: a line "NAME VERSION" each, for those that it knows.
versions() {
    apt-cache policy "$@" |
        awk '/^[^ ]/ { name = substr($1, 1, length($1) - 1) } /Candidate:/ && $2 != "(none)" { print name, $2 }'
}

# Does apt offer all these packages?
are_offered() { [ "$(versions "$@" | wc -l)" = $# ]; }

# download PACKAGE...: keeps the .deb files in the cache and prints their paths. One run of apt for all: each costs half
# a second.
download() {
    local name version file wanted=()
    are_offered "$@" || { refresh_lists && are_offered "$@"; } || die "apt offers not all of: $*"
    mkdir -p "$cache/deb"
    while read -r name version; do
        file=$cache/deb/${name}_${version//:/%3a}_
        compgen -G "$file*.deb" >/dev/null && continue
        # A superseded version would only pile up.
        rm -f "$cache/deb/${name}"_*.deb
        wanted+=("$name")
    done < <(versions "$@")
    if [ ${#wanted[@]} -gt 0 ]; then
        say "downloading ${wanted[*]}"
        # As root, apt would hand the download to a user who may not write here.
        fetch() { (cd "$cache/deb" && apt -o APT::Sandbox::User=root download "$@" >&2); }
        fetch "${wanted[@]}" || { refresh_lists && fetch "${wanted[@]}"; }
    fi
    for name in "$@"; do ls "$cache/deb/${name}"_*.deb; done
}

# Prints the name of the package that linux-image-cloud-amd64 stands for today.
newest_kernel() {
    are_offered linux-image-cloud-amd64 || refresh_lists
    apt-cache show --no-all-versions linux-image-cloud-amd64 |
        sed -n 's/^Depends: \(linux-image-[^ ,]*\).*/\1/p'
}

# unpacked_kernel PACKAGE: prints a directory with boot/ and lib/modules/ of that kernel, with modules.dep made.
unpacked_kernel() {
    local deb directory version
    deb=$(download "$1")
    directory=$cache/kernel/$(basename "$deb" .deb)
    if [ ! -d "$directory" ]; then
        say "unpacking $1"
        version=${1#linux-image-}
        rm -rf "$cache/kernel"
        mkdir -p "$directory.new"
        dpkg-deb -x "$deb" "$directory.new"
        depmod -b "$directory.new" "$version"
        mv "$directory.new" "$directory"
    fi
    printf '%s\n' "$directory"
}

# fingerprint DIRECTORY: a hash over this file and over names, modes and contents of the builder's own files.
fingerprint() {
    (cd "$images_dir" && { stat -c %a%n "$@" && find steps.sh "$@" -type f -printf '%m %p\n' -exec sha256sum {} \; ; } |
        LC_ALL=C sort | sha256sum | cut -d ' ' -f 1)
}

# is_current OUT FINGERPRINT: was OUT built from these very inputs? Newer Debian packages alone do not count, so that a
# rebuild needs no network; --refresh asks for them.
is_current() { [ -f "$1" ] && [ -f "$1.inputs" ] && [ "$(cat "$1.inputs")" = "$2" ]; }

# publish RAW OUT FINGERPRINT: converts to qcow2 beside OUT and renames, so that nobody ever sees half an image.
publish() {
    local new
    new=$2.new.$$
    at_exit "rm -f '$new'"
    qemu-img convert -q -O qcow2 "$1" "$new"
    rm -f "$2.inputs"
    mv "$new" "$2"
    printf '%s\n' "$3" >"$2.inputs"
    say "done: $2, $(($(stat -c %s "$2") / 1048576)) MiB, virtual size $(($(stat -c %s "$1") / 1048576)) MiB"
}
