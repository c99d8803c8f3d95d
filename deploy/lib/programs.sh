# shellcheck shell=bash
# Which programs a script may start: those of Debian's essential packages, of the packages that it
# declares (install_packages), of what these depend on, and of the Rust toolchain.  PATH becomes one
# folder of links to them, so that a program that nobody declares is missing on every machine, and not
# only on a fresh one.

# What there is on the smallest Debian beyond its essential packages: the package manager itself.
base_packages=(apt)
rust_programs=(cargo cargo-clippy cargo-fmt clippy-driver rustc rustdoc rustfmt)

# only_declared_programs FOLDER: from here on PATH is FOLDER, which is made anew.  A script that was
# started by another one goes on with the folder of that one, and adds to it.
only_declared_programs() {
    [ -z "${JST_DECLARED_PROGRAMS:-}" ] || return 0
    # A shell that is no login shell may not have cargo in its path.
    : "${rust_toolchain:=$(dirname "$(PATH=$PATH:$HOME/.cargo/bin type -P cargo || echo /nonexistent/cargo)")}"
    rm -rf "$1"
    mkdir -p "$1"
    JST_DECLARED_PROGRAMS=$(realpath "$1")
    export JST_DECLARED_PROGRAMS
    # shellcheck disable=SC2046 # names of packages have no spaces
    link_programs "${base_packages[@]}" $(dpkg-query -W -f '${Essential} ${Package}\n' | sed -n 's/^yes //p')
    link "${rust_programs[@]/#/$rust_toolchain/}"
    export PATH=$JST_DECLARED_PROGRAMS
    hash -r
}

# link_programs PACKAGE...: puts the programs of these packages, and of all that they depend on, into PATH.
link_programs() {
    local packages files
    [ -n "${JST_DECLARED_PROGRAMS:-}" ] || return 0
    mapfile -t packages < <(with_dependencies "${@%%/*}")
    mapfile -t files < <(dpkg-query -L "${packages[@]}" 2>/dev/null | sed -nE 's#^(/usr)?(/s?bin/[^/]+)$#/usr\2#p' | sort -u)
    link "${files[@]}"
    link_alternatives "${files[@]}"
    hash -r
}

# with_dependencies PACKAGE...: prints those that are installed, and all that they need.  Of alternatives the first that
# is installed counts; a virtual package stands for all that provide it.
with_dependencies() {
    dpkg-query -W -f '${db:Status-Status}\t${Package}\t${Pre-Depends}, ${Depends}\t${Provides}\n' | awk -F '\t' -v wanted="$*" '
        function name(clause) { gsub(/\([^)]*\)|:[a-z0-9]+|[[:space:]]/, "", clause); return clause }
        function add(package) { if (package in needs && !(package in found)) { found[package]; queue[++last] = package } }
        function satisfy(clause, choices, count, i, j, virtual) {
            count = split(clause, choices, "|")
            for (i = 1; i <= count; i++) {
                virtual = name(choices[i])
                if (virtual in needs) { add(virtual); return }
                if (virtual in providers) { count = split(providers[virtual], choices, " "); for (j = 1; j <= count; j++) add(choices[j]); return }
            }
        }
        $1 == "installed" {
            needs[$2] = $3
            count = split($4, given, ",")
            for (i = 1; i <= count; i++) providers[name(given[i])] = providers[name(given[i])] " " $2
        }
        END {
            count = split(wanted, packages, " ")
            for (i = 1; i <= count; i++) add(packages[i])
            for (at = 1; at <= last; at++) {
                print queue[at]
                count = split(needs[queue[at]], clauses, ",")
                for (i = 1; i <= count; i++) satisfy(clauses[i])
            }
        }'
}

# link_alternatives FILE...: a link such as /usr/bin/awk belongs to no package; it counts where it leads to one of FILEs.
link_alternatives() {
    local links targets number leading=()
    local -A declared
    for number in "$@"; do declared[$number]=1; done
    mapfile -t links < <(find /usr/bin /usr/sbin -lname '/etc/alternatives/*')
    [ ${#links[@]} -gt 0 ] || return 0
    mapfile -t targets < <(readlink -m "${links[@]}")
    for number in "${!links[@]}"; do
        [ -z "${declared[${targets[number]}]:-}" ] || leading+=("${links[number]}")
    done
    link "${leading[@]}"
}

# link FILE...: those that exist become programs in PATH under their own names.
link() {
    local file existing=()
    for file in "$@"; do [ ! -x "$file" ] || existing+=("$file"); done
    [ ${#existing[@]} = 0 ] || ln -sf -t "$JST_DECLARED_PROGRAMS" -- "${existing[@]}"
}
