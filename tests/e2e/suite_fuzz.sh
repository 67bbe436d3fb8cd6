#!/usr/bin/env bash
# Every fuzz target for a minute; see tests/fuzz/run.
exec "$(dirname "${BASH_SOURCE[0]}")/../fuzz/run" "${FUZZ_SECONDS:-60}"
