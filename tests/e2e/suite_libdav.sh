#!/usr/bin/env bash
# libdav, a CardDAV client library that nobody here wrote, against the mock. It has its own package, so that its
# dependencies are not ours.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
export CARGO_TARGET_DIR=$here/.work/libdav-target
exec cargo run --quiet --locked --manifest-path "$here/libdav/Cargo.toml"
