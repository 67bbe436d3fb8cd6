#!/usr/bin/env bash
# Fuzz targets for a minute each. What is tried is the same every time as far as one machine gets in a minute: one seed, and
# no more to begin with than stands in the tree. Longer, and from where the last time ended: tests/fuzz/run 3600. `edit` is
# not among them: in broken cards it still finds something within minutes.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# Of its own, since $WORK is wiped: nothing is built again that was built before.
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$here/../fuzz/.work/target}
exec "$here/../fuzz/run" 60 vcard xml json config merge -seed=1
