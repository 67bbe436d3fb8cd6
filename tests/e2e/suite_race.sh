#!/usr/bin/env bash
# The benchmark, short: contactd and vdirsyncer on the same Radicale. What must hold on any machine is checked; the
# figures that depend on the machine are printed, and documented in docs/benchmarks.md.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$here/../.."
cargo bench --quiet --bench sync -- --contacts 1000 --against radicale --json >"$WORK/rows.json"
exec python3 -B - "$WORK/rows.json" <<'PYTHON'
import json
import sys

rows = {(row["who"], row["phase"]): row for row in json.load(open(sys.argv[1]))}
passed = failed = 0


def check(what, holds):
    global passed, failed
    passed, failed = passed + bool(holds), failed + (not holds)
    print("ok  " if holds else "FAIL", what)


for (who, phase), row in rows.items():
    print(f"     {who:10} {phase:15} wall {row['wall_ms']:7.0f} ms  CPU {row['cpu_ms']:7.1f} ms  peak {row['peak_kb'] // 1024:3} MB")
ours, theirs = ({phase: row for (who, phase), row in rows.items() if who == name} for name in ("contactd", "vdirsyncer"))
check("both have run", len(ours) == len(theirs) == 3)
check("nothing changed is one request", ours["nothing changed"]["requests"] == 1)
for phase in ("1 % changed", "nothing changed"):
    check(f"{phase}: less CPU than vdirsyncer", ours[phase]["cpu_ms"] < theirs[phase]["cpu_ms"])
print(f"{passed} passed, {failed} failed")
sys.exit(failed > 0)
PYTHON
