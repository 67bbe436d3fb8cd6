# A PostgreSQL of one's own, for the suites that need one: sourced, not run. Installs PostgreSQL with apt if it is missing
# and we are root; as root the server runs as the user `postgres`, since it refuses to run as root.
#
#   postgres_start   makes a cluster below $WORK, starts it on a free port of 127.0.0.1, and sets $postgres_url (a
#                    database with the collation C) and $postgres_restart (a command that restarts the server)
#   postgres_with_tls   from here on the server speaks TLS, if it is asked to, and lets the user `sealed` in by nothing
#                    else; its certificate is for 127.0.0.1 alone, signed by ca.pem in $postgres_ca, and not by other.pem
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

postgres_with_tls() {
    local data=$postgres_data/data name
    postgres_ca=$postgres_data/ca
    mkdir "$postgres_ca"
    for name in ca other; do
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj "/CN=$name" \
            -addext 'basicConstraints=critical,CA:TRUE' -addext 'keyUsage=critical,keyCertSign' \
            -keyout "$postgres_ca/$name.key" -out "$postgres_ca/$name.pem" 2>/dev/null
    done
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj '/CN=database' \
        -keyout "$postgres_ca/server.key" -out "$postgres_ca/server.csr" 2>/dev/null
    printf 'subjectAltName=IP:127.0.0.1\nbasicConstraints=CA:FALSE\nextendedKeyUsage=serverAuth\n' >"$postgres_ca/server.ext"
    openssl x509 -req -in "$postgres_ca/server.csr" -CA "$postgres_ca/ca.pem" -CAkey "$postgres_ca/ca.key" -CAcreateserial \
        -days 2 -extfile "$postgres_ca/server.ext" -out "$postgres_ca/server.crt" 2>/dev/null
    cp "$postgres_ca/server.crt" "$postgres_ca/server.key" "$data/"
    chmod 600 "$data/server.key"
    if [ "$(id -u)" -eq 0 ]; then chown postgres "$data/server.crt" "$data/server.key"; fi
    echo 'ssl = on' >>"$data/postgresql.conf"
    local rules='hostssl all sealed 127.0.0.1/32 trust\nhostnossl all sealed 127.0.0.1/32 reject'
    printf "$rules\n%s\n" "$(cat "$data/pg_hba.conf")" >"$data/pg_hba.conf.new"
    cat "$data/pg_hba.conf.new" >"$data/pg_hba.conf"
    postgres_as "$postgres_bin/psql" -q "$postgres_url" -c 'CREATE ROLE sealed SUPERUSER LOGIN'
    "$postgres_restart" >/dev/null
}

postgres_stop() {
    postgres_as "$postgres_bin/pg_ctl" -D "$postgres_data/data" -m immediate -w stop >/dev/null || true
    rm -rf "$postgres_data"
}
