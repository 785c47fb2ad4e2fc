# The two hosts of a recording, to be read by its script: namespaces $near and $far with one wire between them, the
# addresses $v4 and $v6 of the far one, the folder $work, and `on NAMESPACE COMMAND`. All of them are gone when the
# script ends, however it ends.

here=$(cd "$(dirname "$0")" && pwd)
out=$here/captures
near=fxr-near-$$
far=fxr-far-$$
work=$(mktemp -d)

cleanup() {
    for ns in $near $far; do
        for pid in $(ip netns pids $ns 2>/dev/null); do kill -KILL "$pid" 2>/dev/null || true; done
        ip netns del $ns 2>/dev/null || true
    done
    wait 2>/dev/null || true
    rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 1' INT TERM

on() {
    ns=$1
    shift
    ip netns exec "$ns" "$@"
}

# Two hosts on one wire. Checksums and segments are made by the stack: what tcpdump sees is what a
# wire would have had.
for ns in $near $far; do
    ip netns add $ns
    on $ns sysctl -qw net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0
    on $ns ip link set lo up
done
ip link add wire0 netns $near type veth peer name wire0 netns $far
host=1
for ns in $near $far; do
    on $ns ethtool -K wire0 tso off gso off gro off tx off >/dev/null
    on $ns ip link set wire0 up
    on $ns ip addr add 198.51.100.$host/24 dev wire0
    on $ns ip addr add 2001:db8:51::$host/64 dev wire0 nodad
    host=2
done
v4=198.51.100.2
v6=2001:db8:51::2
