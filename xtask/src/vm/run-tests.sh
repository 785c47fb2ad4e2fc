#!/bin/sh
# Runs test programs one after the other; one that fails must not hide what the next would say.
export FLOWXDP_BIN=/usr/bin/flowxdp RUST_BACKTRACE=0
failed=0
run() {
    program=$1 limit=$2
    shift 2
    echo
    echo "     Running $program on $(uname -r)"
    before=$(cut -d. -f1 /proc/uptime)
    timeout -s KILL "$limit" "/tests/$program" --test-threads=1 "$@" || { failed=1; echo "vm: $program FAILED"; }
    echo "vm: $program took $(($(cut -d. -f1 /proc/uptime) - before)) s"
}
