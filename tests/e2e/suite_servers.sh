#!/usr/bin/env bash
# The CardDAV adapter against servers that nobody here wrote: Radicale and Xandikos, both from requirements.txt. Unlike
# the other suites this one tests the adapter, not the mock.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
passed=0
failed=0

port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

# Runs the adapter's tests against the server that "$@" starts; $port and $url are set by the caller.
check() {
    local name=$1
    shift
    "$@" >"$WORK/$name.log" 2>&1 &
    local server=$! status=0
    for _ in $(seq 100); do
        python3 -c "import socket; socket.create_connection(('127.0.0.1', $port), 1)" 2>/dev/null && break
        sleep 0.2
    done
    (cd "$here/../.." && CONTACTD_DAV_URL="http://127.0.0.1:$port/" CONTACTD_DAV_USER=jane \
        CONTACTD_DAV_PASSWORD='correct horse' cargo test --quiet --test carddav -- --ignored real::) || status=$?
    kill "$server"
    wait "$server" || true
    if [ "$status" -eq 0 ]; then
        passed=$((passed + 1))
        echo "ok   $name"
    else
        failed=$((failed + 1))
        echo "FAIL $name: its log is $WORK/$name.log"
    fi
}

book=$WORK/radicale/collection-root/jane/contacts
mkdir -p "$book"
echo '{"tag": "VADDRESSBOOK", "D:displayname": "Contacts"}' >"$book/.Radicale.props"
echo 'jane:correct horse' >"$WORK/users"
port=$(port)
check radicale radicale --server-hosts "127.0.0.1:$port" --storage-filesystem-folder "$WORK/radicale" \
    --auth-type htpasswd --auth-htpasswd-filename "$WORK/users" --auth-htpasswd-encryption plain

port=$(port)
# Xandikos asks for no password on plain http.
CONTACTD_DAV_OPEN=1 check xandikos xandikos serve -d "$WORK/xandikos" --state-dir "$WORK/state" --defaults \
    --current-user-principal /jane/ -l 127.0.0.1 -p "$port" --no-detect-systemd

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
