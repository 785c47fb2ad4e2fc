#!/bin/sh
# The compiler with coverage counters, for the crates of this workspace: cargo's RUSTC_WORKSPACE_WRAPPER.
exec "$@" -Cinstrument-coverage
