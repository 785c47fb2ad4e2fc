#!/bin/sh
# First process of the test VM: mounts, loads modules, runs /job and says with what status it ended.
# The status goes to the second serial port alone: no kernel message gets into it, and a panic leaves it empty.
/bin/busybox mount -t devtmpfs dev /dev
exec </dev/ttyS0 >/dev/ttyS0 2>&1
/bin/busybox mkdir /applets
/bin/busybox --install -s /applets
# Real programs come before busybox's own of the same name.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin:/applets HOME=/root TERM=dumb LC_ALL=C.UTF-8 TZ=UTC
stty -onlcr
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t bpf bpf /sys/fs/bpf
mount -t tracefs tracefs /sys/kernel/tracing 2>/dev/null
chmod 1777 /tmp
mount -t tmpfs run /run
ulimit -l unlimited
# Collectors are slow on an emulated CPU, and get the large buffers that they ask for.
echo 67108864 >/proc/sys/net/core/rmem_max
for module in /lib/modules/*.ko; do
    insmod "$module" || echo "vm: cannot load $module"
done
# The thread that empties a queue when a CPU is too busy goes before whoever fills it, or a slow machine drops
# packets before anybody could meter them.
for thread in /proc/[0-9]*; do
    case $(cat "$thread/comm") in
    ksoftirqd/*) chrt --fifo --pid 1 "${thread#/proc/}" || echo "vm: cannot let ${thread#/proc/} go first" ;;
    esac
done
hostname vm
ip link set lo up
# NICs of the VM are named by the last two octets of their address: 52:54:00:00:KIND:NUMBER.
for nic in /sys/class/net/*; do
    case $(cat "$nic/address") in
    52:54:00:00:00:*) kind=hub ;;
    52:54:00:00:01:*) kind=multi ;;
    52:54:00:00:02:*) kind=fixed ;;
    *) continue ;;
    esac
    number=$(cut -d: -f6 "$nic/address")
    ip link set "${nic##*/}" name "$kind${number#0}"
done
echo "vm: $(uname -r) is up after $(cut -d' ' -f1 /proc/uptime) s"
/job
status=$?
echo "vm: the job ended with $status after $(cut -d' ' -f1 /proc/uptime) s"
echo "status $status" >/dev/ttyS1
sync
poweroff -f
