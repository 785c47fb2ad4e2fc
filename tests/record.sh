#!/bin/sh
# Records tests/captures/recorded-*.pcap again, from kernel stacks in two network namespaces, and
# derives their truth from the fields that tshark reads. Needs root, tcpdump, tshark, socat, ping,
# iperf3 and ethtool. What it starts and makes is gone when it ends, however it ends.
set -eu

. "$(dirname "$0")/recording.sh"
sniffer=

# start NAME ARGUMENTS…: records on the far host until stop; -s of the arguments is the snap length.
start() {
    name=$1
    shift
    ip netns exec $far tcpdump -Z root -U -q -w "$work/$name.pcap" "$@" 2>"$work/tcpdump.log" &
    sniffer=$!
    for _ in $(seq 100); do
        grep -q 'listening on' "$work/tcpdump.log" && return
        sleep 0.1
    done
    cat "$work/tcpdump.log" >&2
    exit 1
}

stop() {
    sleep 1
    kill -TERM $sniffer
    wait $sniffer || true
    mv "$work/$name.pcap" "$out/$name.pcap"
}

# serve ADDRESS…: echoes on the far host; send N ADDRESS: one message of N octets, and its echo.
serve() { for address in "$@"; do on $far socat "$address,fork,reuseaddr" PIPE & done; sleep 0.5; }
send() { head -c "$1" /dev/zero | on $near timeout 10 socat -t 0.5 - "$2"; } >/dev/null

serve TCP4-LISTEN:80 TCP6-LISTEN:80,ipv6only=1 UDP4-RECVFROM:53 UDP6-RECVFROM:53,ipv6only=1

# Whole connections of TCP, a refused one, and a transfer of which only the headers are kept.
start recorded-tcp -i wire0 -s 128
for size in 0 1 700 5000; do
    send $size TCP4:$v4:80
    send $size "TCP6:[$v6]:80"
done
send 1 TCP4:$v4:81 2>/dev/null || true
send 1 "TCP6:[$v6]:81" 2>/dev/null || true
on $far iperf3 -s -1 >/dev/null &
sleep 0.5
on $near timeout 20 iperf3 -c $v4 -n 150K >/dev/null
on $far iperf3 -s -1 >/dev/null &
sleep 0.5
on $near timeout 20 iperf3 -c $v6 -n 150K -M 1200 >/dev/null
stop

# UDP of many lengths, in one piece and in fragments, and to a port that nobody listens on.
start recorded-udp -i wire0
for size in 1 18 19 1472 4000; do
    send $size UDP4:$v4:53
    send $size "UDP6:[$v6]:53"
done
send 10 UDP4:$v4:99 2>/dev/null || true
send 10 "UDP6:[$v6]:99" 2>/dev/null || true
stop

# ICMP, whole and in fragments; groups joined and left; neighbours asked for.
start recorded-icmp -i wire0
on $near ip neigh flush dev wire0
on $near ping -q -c 3 -i 0.2 -Q 0x28 $v4 >/dev/null
on $near ping -q -c 3 -i 0.2 -t 7 $v6 >/dev/null
on $near ping -q -c 2 -i 0.2 -s 4000 $v4 >/dev/null
on $near ping -q -c 2 -i 0.2 -s 4000 $v6 >/dev/null
on $near ping -q -c 1 -R $v4 >/dev/null || true
timeout 1 ip netns exec $near socat -u UDP4-RECV:5000,ip-add-membership=239.1.2.3:wire0 - || true
timeout 1 ip netns exec $near socat -u "UDP6-RECV:5000,ipv6-join-group=[ff15::7]:wire0" - || true
sleep 2
stop

# Raw IP: a tunnel over UDP between the two, seen on its own device.
on $far socat TUN:10.9.0.2/24,tun-name=tun0,iff-up,iff-no-pi UDP4-LISTEN:9999 &
on $near socat TUN:10.9.0.1/24,tun-name=tun0,iff-up,iff-no-pi UDP4:$v4:9999 &
sleep 1
on $near ping -q -c 1 -W 2 10.9.0.2 >/dev/null || true
start recorded-tunnel -i tun0
on $near ping -q -c 3 -i 0.2 10.9.0.2 >/dev/null
send 3000 TCP4:10.9.0.2:80
send 2500 UDP4:10.9.0.2:53
stop

# All devices at once: Linux cooked, nanoseconds.
start recorded-cooked -i any --time-stamp-precision=nano
on $near ping -q -c 2 -i 0.2 $v4 >/dev/null
on $near ping -q -c 2 -i 0.2 $v6 >/dev/null
on $far ping -q -c 2 -i 0.2 127.0.0.1 >/dev/null
send 100 "TCP6:[$v6]:80"
send 3000 UDP4:$v4:53
stop

cd "$here/.."
cargo run --quiet -p flowxdp-tests --example recorded_truth -- "$out"/recorded-*.pcap
