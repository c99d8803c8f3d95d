# shellcheck shell=bash
# shellcheck disable=SC2034 # the lists of packages are for the scripts that source this
# What the machine must have: Debian's packages, a Rust toolchain, room, and a libvirt that answers.

# The oldest Rust that builds this workspace, from Cargo.toml.
oldest_rust() { sed -n 's/^rust-version = "\(.*\)"/\1/p' "$repository/Cargo.toml"; }

check_machine() {
    [ "$(id -u)" = 0 ] || fail 'this needs root' "run it as root: sudo $0" \
        'it installs packages, starts libvirt and makes network devices'
    # shellcheck source=/dev/null
    local system=unknown
    [ ! -r /etc/os-release ] || system=$(. /etc/os-release && echo "${ID:-} ${VERSION_ID:-}")
    case $system in
    'debian 12'*) ;;
    *)
        command -v apt-get >/dev/null || fail "this is '$system', and packages are installed by Debian's apt" \
            'use a machine with Debian 12, or install the packages named in deploy/lib/machine.sh by hand'
        note "made for Debian 12; this is '$system'. Package names may differ."
        ;;
    esac
}

# needs_room DIRECTORY GIB
needs_room() {
    local free
    free=$(df -Pk "$1" | awk 'NR == 2 { print int($4 / 1048576) }')
    [ "$free" -ge "$2" ] || fail "only $free GiB are free where $1 is, and $2 GiB are needed" \
        'make room, or clone the repository to a larger disk'
}

check_rust() {
    local oldest found
    oldest=$(oldest_rust)
    command -v cargo >/dev/null || fail "there is no Rust toolchain (cargo $oldest or newer)" \
        'install rustup as the Rust project describes, then: rustup toolchain install stable' \
        "Debian 12's own rustc package is too old"
    # In the repository, where a toolchain file would count.
    found=$(cd "$repository" && cargo --version | cut -d ' ' -f 2)
    printf '%s\n%s\n' "$oldest" "$found" | sort -VC ||
        fail "cargo $found is too old; $oldest or newer is needed" 'update it: rustup update stable'
}

# Every package that a script or a program of ours needs, by what needs it.  tests/scripts holds this to what they start.
build_packages=(gcc libc6-dev pkg-config libvirt-dev ca-certificates)
database_packages=(postgresql)
# qemu-utils/bookworm: a newer one than the release's would make the release's QEMU uninstallable.
image_tool_packages=(qemu-utils/bookworm)
network_packages=(iproute2 nftables)
hypervisor_packages=("${image_tool_packages[@]}" "${network_packages[@]}" qemu-system-x86 libvirt-daemon-system
    libvirt-clients dnsmasq-base)
tool_packages=(python3 curl openssh-client iproute2)
# What makes the type face smaller.
asset_packages=(python3 python3-fonttools python3-brotli)
# What the image builders start; the Debian image needs mmdebstrap too.
image_packages=("${image_tool_packages[@]}" extlinux e2fsprogs kmod cpio mount)
debian_image_packages=(mmdebstrap)
image_trial_packages=("${image_tool_packages[@]}" qemu-system-x86 openssh-client mtools dosfstools)
# For the tests alone: the network's guests are asked by ping.
test_packages=(iputils-ping openssh-client python3 gzip xz-utils bzip2 zstd)
# What Debian's cloud-init imports, by which tests read seeds; see tests/cloud-init/install.
seed_packages=(python3 python3-yaml python3-jsonschema python3-jinja2 python3-configobj python3-jsonpatch
    python3-requests python3-oauthlib python3-netifaces)
# For the disks that tests fill and limit: loop devices with a file system.
disk_test_packages=(mount e2fsprogs "${image_tool_packages[@]}")
lint_packages=(python3 shfmt shellcheck)
# For the contract of the modules for billing systems.
module_packages=(php-cli php-curl)
interop_packages=(python3 python3-venv)
browser_packages=(chromium-headless-shell fonts-noto-cjk)

is_installed() { [ "$(dpkg-query -W -f '${db:Status-Status}' "${1%%/*}" 2>/dev/null)" = installed ]; }

# Packages' own scripts find what Debian has, wherever the caller looks for programs.
apt() { DEBIAN_FRONTEND=noninteractive PATH=/usr/sbin:/usr/bin:/sbin:/bin apt-get -qq -o Dpkg::Use-Pty=0 "$@" </dev/null; }

# install_packages PACKAGE...: only those that are missing, and with nothing beyond what they need.  Their programs are in
# PATH afterwards.
install_packages() {
    local package missing=() of_release=()
    for package in "$@"; do
        is_installed "$package" || missing+=("$package")
        [[ "$package" != */* ]] || of_release+=("$package")
    done
    # Unless apt is told to change one that is of another release, it removes it for a missing one that conflicts with it.
    [ ${#missing[@]} = 0 ] || install_missing "${missing[@]}" "${of_release[@]}"
    link_programs "$@"
}

install_missing() {
    local packages
    mapfile -t packages < <(printf '%s\n' "$@" | sort -u)
    set -- "${packages[@]}"
    say "installing $*"
    mkdir -p "$log"
    # The lists of a fresh machine are absent, and those of an old one name packages that are gone.
    try_install "$@" || { say 'reading the package lists' && apt update >>"$log/packages.log" 2>&1 && try_install "$@"; } || {
        show_log "$log/packages.log"
        fail "these packages could not be installed: $*" 'install them by hand, and run this again'
    }
}

# npm comes with Node.js or as a package of its own, depending on who made the packages.
install_node() {
    install_packages nodejs
    type -P npm >/dev/null || install_packages npm
}

try_install() {
    # Debian makes and starts a cluster as it installs Postgres.  Nobody would use it, and it would
    # hold memory and a port: ours is a private one.
    [[ " $* " != *' postgresql '* || -e /etc/postgresql-common ]] || {
        mkdir -p /etc/postgresql-common
        printf 'create_main_cluster = false\n' >/etc/postgresql-common/createcluster.conf
    }
    apt install -y --no-install-recommends --allow-downgrades -o Dpkg::Options::=--force-confold "$@" >>"$log/packages.log" 2>&1
}

has_systemd() { [ -d /run/systemd/system ]; }

libvirt_answers() { virsh -c qemu:///system version >/dev/null 2>&1; }

# Starts libvirt where it does not answer.  What was started by hand is remembered, so that
# deploy/down stops that and nothing else.
start_libvirt() {
    if libvirt_answers; then return 0; fi
    say 'starting libvirt'
    if has_systemd; then
        systemctl enable --now --quiet libvirtd.service
    else
        daemon virtlogd
        daemon libvirtd
    fi
    wait_for 30 libvirt libvirt_answers || {
        show_log /var/log/libvirt/libvirtd.log
        fail 'libvirt does not answer on qemu:///system' 'try: virsh -c qemu:///system version'
    }
}

# daemon NAME: one of libvirt's daemons, which writes its own process id when it is ready.
daemon() {
    # virtlogd is socket-activated by systemd elsewhere, so that only its pid tells whether it runs.
    if [ -f "/run/$1.pid" ] && kill -0 "$(cat "/run/$1.pid")" 2>/dev/null; then return 0; fi
    mkdir -p "$log"
    "$1" -d >>"$log/$1.log" 2>&1 </dev/null 9>&- || fail "$1 does not start" "see $log/$1.log and /var/log/libvirt"
    remember "$1" "$(cat "/run/$1.pid")"
}

# The hypervisor runs guests as a user of its own.  Without access to /dev/kvm it falls back to
# emulation, and probes QEMU anew at every start of a guest.
check_kvm() {
    [ -e /dev/kvm ] || {
        note 'there is no /dev/kvm: guests will be emulated (slow, and not for production)'
        return 0
    }
    if ! setpriv --reuid libvirt-qemu --init-groups test -r /dev/kvm -a -w /dev/kvm 2>/dev/null; then
        say 'giving /dev/kvm to the group kvm'
        { chgrp kvm /dev/kvm && chmod 660 /dev/kvm; } || note 'that did not work; guests may be emulated'
    fi
}

# let_pass DIRECTORY: the users postgres and libvirt-qemu reach their files through the directories
# above, so these must let others pass (x) without showing them anything (no r).
let_pass() {
    local directory
    directory=$(realpath "$1")
    while [ "$directory" != / ]; do
        if [ $((8#$(stat -c %a "$directory") & 1)) = 0 ]; then
            note "letting other users pass through $directory (chmod o+x): guests' disks are below it"
            chmod o+x "$directory"
        fi
        directory=$(dirname "$directory")
    done
}
