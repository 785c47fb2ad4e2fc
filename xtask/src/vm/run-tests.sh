#!/bin/sh
# Runs the tests of one module after the other; one that fails must not hide the results of the next.
export FLOWXDP_BIN=/usr/bin/flowxdp RUST_BACKTRACE=0
failed=0
run() {
    program=$1 module=$2 limit=$3
    shift 3
    echo
    echo "     Running $module on $(uname -r)"
    before=$(cut -d. -f1 /proc/uptime)
    timeout -s KILL "$limit" "/tests/$program" --test-threads=1 --exact "$@" || { failed=1; echo "vm: $module FAILED"; }
    echo "vm: $module took $(($(cut -d. -f1 /proc/uptime) - before)) s"
}
