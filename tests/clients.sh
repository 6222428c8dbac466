#!/usr/bin/env bash
# Do other people's clients work? Runs the suite of etcd3gw against a fresh server, and against a follower of three:
# tests/clients.sh BINARY
#
# The suites are not part of the project: they lie in ../shared/clients, and need Python and its package index. Without
# them this says that it is skipped. BINARY may be etcd's, to see that the suite itself is well.
set -euo pipefail
binary=$(realpath "${1:?usage: tests/clients.sh BINARY}")
cd "$(dirname "$0")/.."
suites=${CLIENT_SUITES:-../shared/clients}
host=127.0.0.1

# What cannot pass yet, and why. A test that is neither here nor passes is an error.
left_out='
TestEtcd3Gateway.test_client_lock_acquire_release  there is no lock service yet
TestEtcd3Gateway.test_client_locks  there is no lock service yet
'

if ! [ -x "$suites/etcd3gw/run.sh" ]; then
    echo "== SKIPPED: OTHER PEOPLE'S CLIENTS WERE NOT TRIED: $suites is missing"
    exit 0
fi

work=$(mktemp -d)
servers=()
stop_servers() {
    local server
    for server in "${servers[@]}"; do
        kill "$server" 2>/dev/null || true
        wait "$server" 2>/dev/null || true
    done
    servers=()
}
clean_up() {
    stop_servers
    rm -rf "$work"
}
trap clean_up EXIT

# A copy in which the names above are marked as the suite marks what does not count.
cp -r "$suites" "$work/clients"
expected=$work/clients/etcd3gw/expected.txt
while read -r name why; do
    [ -n "$name" ] || continue
    if ! grep -qx "$name" "$expected"; then
        echo "clients.sh: $name is no test that counts" >&2
        exit 1
    fi
    sed -i "s/^$name\$/! $name $why/" "$expected"
done <<<"$left_out"

# A port that nobody listens on, below those that the kernel gives to clients.
free_port() {
    local port
    for port in $(shuf -i 10000-29999 -n 50); do
        if ! (exec 3<>"/dev/tcp/$host/$port") 2>/dev/null; then
            echo "$port"
            return
        fi
    done
    echo "clients.sh: no free port" >&2
    exit 1
}

# start NAME URL PEER LIST: one member.
start() {
    local flags=(--name "$1" --data-dir "$work/$1.data" --listen-client-urls "$2" --advertise-client-urls "$2"
        --listen-peer-urls "$3" --initial-advertise-peer-urls "$3" --initial-cluster "$4" --initial-cluster-token "$4")
    [ "$(basename "$binary")" = etcd ] || flags=(serve "${flags[@]}")
    "$binary" "${flags[@]}" >"$work/$1.log" 2>&1 &
    servers+=($!)
}

# serves URL NAME: waits.
serves() {
    local tries
    for ((tries = 0; ; tries++)); do
        if curl -sf -m 2 "$1/health" >/dev/null; then
            return
        fi
        if [ "$tries" -ge 200 ]; then
            echo "clients.sh: the server does not serve:" >&2
            tail -20 "$work/$2.log" >&2
            exit 1
        fi
        sleep 0.1
    done
}

# try PORT NAME WHAT: the suite.
try() {
    echo "== etcd3gw against $3"
    "$work/clients/etcd3gw/run.sh" "$host" "$1" && return
    tail -20 "$work/$2.log" >&2
    exit 1
}

port=$(free_port)
peer=http://$host:$(free_port)
start alone "http://$host:$port" "$peer" "alone=$peer"
serves "http://$host:$port" alone
try "$port" alone "one member"
stop_servers

ports=() peers=() list=
for place in 0 1 2; do
    ports+=("$(free_port)")
    peers+=("http://$host:$(free_port)")
    list+=${list:+,}m$place=${peers[$place]}
done
for place in 0 1 2; do
    start "m$place" "http://$host:${ports[$place]}" "${peers[$place]}" "$list"
done
for place in 0 1 2; do
    serves "http://$host:${ports[$place]}" "m$place"
done
for place in 0 1 2; do
    if curl -sf "http://$host:${ports[$place]}/metrics" | grep -qx 'etcd_server_is_leader 0'; then
        try "${ports[$place]}" "m$place" "a follower of three"
        exit
    fi
done
echo "clients.sh: all three lead" >&2
exit 1
