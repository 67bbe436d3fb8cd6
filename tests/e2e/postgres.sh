# A PostgreSQL of one's own, for the suites that need one: sourced, not run. Installs PostgreSQL with apt if it is missing
# and we are root; as root the server runs as the user `postgres`, since it refuses to run as root.
#
#   postgres_start   makes a cluster below $WORK, starts it on a free port of 127.0.0.1, and sets $postgres_url (a
#                    database with the collation C) and $postgres_restart (a command that restarts the server)
#   postgres_stop    stops it

postgres_as() {
    if [ "$(id -u)" -eq 0 ]; then (cd / && runuser -u postgres -- "$@"); else "$@"; fi
}

postgres_start() {
    postgres_bin=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1)
    if [ -z "$postgres_bin" ] && [ "$(id -u)" -eq 0 ]; then
        # No cluster of the system's is wanted, and none is started.
        apt-get update -qq
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends postgresql >/dev/null
        postgres_bin=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1)
    fi
    if [ -z "$postgres_bin" ]; then
        echo "PostgreSQL is missing: install the package postgresql"
        return 1
    fi
    postgres_data=$(mktemp -d /tmp/contactd-postgres.XXXXXX)
    if [ "$(id -u)" -eq 0 ]; then chown postgres "$postgres_data"; fi
    local port
    port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
    postgres_as "$postgres_bin/initdb" -D "$postgres_data/data" -U contactd --auth=trust --encoding=UTF8 --locale=C \
        --no-sync >/dev/null
    # Durability is not what is tested here, and hundreds of schemas are made and dropped.
    cat >>"$postgres_data/data/postgresql.conf" <<CONF
listen_addresses = '127.0.0.1'
port = $port
unix_socket_directories = ''
fsync = ${POSTGRES_FSYNC:-off}
full_page_writes = ${POSTGRES_FSYNC:-off}
max_connections = 200
max_locks_per_transaction = 256
CONF
    postgres_restart="$postgres_data/restart"
    {
        echo '#!/bin/sh'
        if [ "$(id -u)" -eq 0 ]; then
            echo "cd / && exec runuser -u postgres -- $postgres_bin/pg_ctl -D $postgres_data/data -l $postgres_data/log -m \${1:-fast} -w restart"
        else
            echo "exec $postgres_bin/pg_ctl -D $postgres_data/data -l $postgres_data/log -m \${1:-fast} -w restart"
        fi
    } >"$postgres_restart"
    chmod 755 "$postgres_restart"
    postgres_as "$postgres_bin/pg_ctl" -D "$postgres_data/data" -l "$postgres_data/log" -w start >/dev/null
    postgres_url="postgres://contactd@127.0.0.1:$port/postgres"
}

postgres_stop() {
    postgres_as "$postgres_bin/pg_ctl" -D "$postgres_data/data" -m immediate -w stop >/dev/null || true
    rm -rf "$postgres_data"
}
