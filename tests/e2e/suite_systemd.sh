#!/usr/bin/env bash
# The systemd units: whether systemd reads them without a warning, how exposed the service is, and whether the account is
# made. Starts nothing. Installs systemd by apt where it is missing. Prints `N passed, N failed`; fails if any failed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

as_root() {
    if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

if ! command -v systemd-analyze >/dev/null || ! command -v systemd-sysusers >/dev/null; then
    as_root apt-get update -qq
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends systemd >/dev/null
    if ! command -v systemd-sysusers >/dev/null; then
        # Some distributions put it into a package of its own.
        as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq systemd-standalone-sysusers >/dev/null
    fi
fi

passed=0
failed=0

# Runs the rest of the arguments; shows what they said only if they fail.
check() {
    local title=$1 said
    shift
    if said=$("$@" 2>&1); then
        passed=$((passed + 1))
        printf 'ok      %s\n' "$title"
    else
        failed=$((failed + 1))
        printf 'FAILED  %s\n%s\n' "$title" "$said"
    fi
}

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

# The units as they are, but for the program, which need not be installed here.
program=$dir/contactd
printf '#!/bin/sh\n' >"$program"
chmod 755 "$program"
sed "s|^ExecStart=/usr/bin/contactd|ExecStart=$program|" systemd/contactd.service >"$dir/contactd.service"
cp systemd/contactd.socket "$dir/contactd.socket"
mkdir -p "$dir/root/etc"
cp systemd/contactd.sysusers "$dir/contactd.conf"

# Verify warns about unknown directives and sections on its error output and may still exit with 0.
verified() {
    local said
    said=$(systemd-analyze verify --recursive-errors=no --man=no "$1" 2>&1) || { printf '%s\n' "$said"; return 1; }
    if grep -F "$(basename "$1")" <<<"$said"; then return 1; fi
}

# Every switch of the service has its reason: a comment above it, or above the switches that it stands with.
reasoned() {
    awk '
        /^#/ { reason = 1; next }
        /^$/ || /^\[/ { reason = 0; next }
        /^(Description|ExecStart|User|WantedBy)=/ { next }
        !reason { print FILENAME ": no reason for " $0; bad = 1 }
        END { exit bad }
    ' "$1"
}

account_made() {
    systemd-sysusers --root="$dir/root" "$dir/contactd.conf" || return
    grep -q '^contactd:[^:]*:[0-9]*:[0-9]*:contactd:/var/lib/contactd:.*nologin$' "$dir/root/etc/passwd"
}

# One path, in three places.
same_socket() {
    local path
    path=$(sed -n 's/^ListenStream=//p' systemd/contactd.socket)
    grep -qxF "socket = \"$path\"" config/default.toml
}

check 'the service is valid' verified "$dir/contactd.service"
check 'the socket is valid' verified "$dir/contactd.socket"
check 'every switch of the service has its reason' reasoned systemd/contactd.service
# 0 is locked in, 10 wide open; what remains is the network that it is for. In tenths.
check 'the service is little exposed' systemd-analyze security --offline=yes --threshold=20 "$dir/contactd.service"
check 'the account is made' account_made
check 'unit and configuration name the same socket' same_socket

printf '%s passed, %s failed\n' "$passed" "$failed"
[ "$failed" -eq 0 ]
