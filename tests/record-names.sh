#!/bin/sh
# Records tests/captures/recorded-names.pcap again: connections that say names, between the stacks of OpenSSL, curl,
# dnsmasq, dig and aioquic, in two network namespaces; and derives its truth. Needs root, tcpdump, tshark, curl, openssl,
# dnsmasq, dig, and a Python with aioquic (1.7.2 was used): FLOWXDP_PYTHON names it. Its processes and namespaces
# are gone when it ends, however it ends.
set -eu

. "$(dirname "$0")/recording.sh"
python=${FLOWXDP_PYTHON:-python3}

openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=www.names.test -days 3650 \
    -addext subjectAltName=DNS:www.names.test -keyout "$work/key.pem" -out "$work/cert.pem" 2>/dev/null

on $far dnsmasq --keep-in-foreground --no-resolv --no-hosts --conf-file=/dev/null --pid-file --user=root \
    --address=/host.names.test/$v4 --address=/host.names.test/$v6 --host-record=host.names.test,$v4,$v6 \
    --cname=www.names.test,alias.names.test --cname=alias.names.test,host.names.test --local=/names.test/ \
    --local-ttl=300 2>"$work/dnsmasq.log" &
on $far openssl s_server -quiet -accept 443 -cert "$work/cert.pem" -key "$work/key.pem" -alpn h2,http/1.1 -www \
    >/dev/null 2>&1 &
mkdir "$work/empty"
on $far "$python" -m http.server -d "$work/empty" --bind :: 8080 >/dev/null 2>&1 &
cat >"$work/quic.py" <<'PYTHON'
import asyncio, sys
from aioquic.asyncio import connect, serve
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.packet import QuicProtocolVersion as V

def alpn(count):
    return ["h3"] + ["x" * 200 + str(it) for it in range(count)]

async def main(what, address, cert, key):
    if what == "serve":
        config = QuicConfiguration(is_client=False, alpn_protocols=["h3"])
        config.load_cert_chain(cert, key)
        await serve(address, 443, configuration=config, retry=False)
        await asyncio.Event().wait()
    for version, name, names in [(V.VERSION_1, "v1.names.test", 0), (V.VERSION_2, "v2.names.test", 0),
                                 (V.VERSION_1, "long.names.test", 8)]:
        config = QuicConfiguration(alpn_protocols=alpn(names), server_name=name, verify_mode=0)
        config.original_version = version
        async with connect(address, 443, configuration=config) as client:
            await client.ping()

asyncio.run(main(*sys.argv[1:]))
PYTHON
on $far "$python" "$work/quic.py" serve :: "$work/cert.pem" "$work/key.pem" >/dev/null 2>"$work/quic.log" &
sleep 2

ip netns exec $far tcpdump -Z root -U -q -w "$work/names.pcap" -i wire0 2>"$work/tcpdump.log" &
sniffer=$!
for _ in $(seq 100); do
    grep -q 'listening on' "$work/tcpdump.log" && break
    sleep 0.1
done

ask() { on $near dig +tries=1 +time=2 "$@" >/dev/null; }
ask @$v4 www.names.test A
ask @$v6 wWw.NaMeS.test AAAA
ask @$v4 +tcp www.names.test A
ask @$v4 missing.names.test A
ask @$v4 +noedns names.test MX

hello() { on $near timeout 5 openssl s_client -connect "$@" </dev/null >/dev/null 2>&1 || true; }
hello $v4:443 -servername tls13.names.test -alpn h2,http/1.1 -tls1_3
hello "[$v6]:443" -servername tls12.names.test -tls1_2
hello $v4:443 -noservername
# A hello in records of 512 octets, and in segments of few octets.
many=$(seq -s, -f 'protocol-with-a-long-name-%g' 1 30)
hello $v4:443 -servername records.names.test -max_send_frag 512 -alpn "$many"
on $near ip route add 198.51.100.2/32 dev wire0 advmss 500
on $far ip route add 198.51.100.1/32 dev wire0 advmss 500
hello $v4:443 -servername segments.names.test -alpn "$many"

fetch() { on $near curl -s -o /dev/null -m 5 "$@" || true; }
resolve="www.names.test:8080:$v4"
fetch --resolve "$resolve" http://www.names.test:8080/
fetch -H 'Host: other.names.test' http://$v4:8080/
fetch --resolve "$resolve" -H "Cookie: $(head -c 900 /dev/zero | tr '\0' c)" http://www.names.test:8080/long
fetch --resolve "curl.names.test:443:$v4" -k https://curl.names.test/
on $near timeout 20 "$python" "$work/quic.py" ask $v4 - - 2>>"$work/quic.log"
sleep 1
kill -TERM $sniffer
wait $sniffer || true
mv "$work/names.pcap" "$out/recorded-names.pcap"

cd "$here/.."
cargo run --quiet -p flowxdp-tests --example recorded_truth -- "$out/recorded-names.pcap"
