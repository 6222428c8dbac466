#!/usr/bin/env bash
# Do other people's clients work? Runs the suite of etcd3gw against a fresh server: tests/clients.sh BINARY
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
server=
clean_up() {
    if [ -n "$server" ]; then
        kill "$server" 2>/dev/null || true
        wait "$server" 2>/dev/null || true
    fi
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

port=$(free_port)
url=http://$host:$port
flags=(--data-dir "$work/data" --listen-client-urls "$url" --advertise-client-urls "$url")
if [ "$(basename "$binary")" = etcd ]; then
    peer=http://$host:$(free_port)
    flags+=(--listen-peer-urls "$peer" --initial-advertise-peer-urls "$peer" --initial-cluster "default=$peer")
else
    flags=(serve "${flags[@]}")
fi
"$binary" "${flags[@]}" >"$work/log" 2>&1 &
server=$!

for ((tries = 0; ; tries++)); do
    if curl -sf -m 2 "$url/health" >/dev/null; then
        break
    fi
    if [ "$tries" -ge 100 ] || ! kill -0 "$server" 2>/dev/null; then
        echo "clients.sh: the server does not serve:" >&2
        tail -20 "$work/log" >&2
        exit 1
    fi
    sleep 0.1
done

status=0
"$work/clients/etcd3gw/run.sh" "$host" "$port" || status=$?
[ "$status" -eq 0 ] || tail -20 "$work/log" >&2
exit "$status"
