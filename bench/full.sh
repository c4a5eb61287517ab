#!/bin/bash
# All measurements of bench/README.md, one after the other; about an hour and a half, 16 GiB of tmpfs.
# Options are passed to each of them. Nothing else should run meanwhile.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${VENV:-.venv}/bin/python

measure() {
  echo "== $*"
  "$python" "bench/bench_$1.py" --results bench/results "${@:2}"
}

measure startup "$@"
measure memory --scale 1 --wide "$@"
measure snapshot --scale 1 --rounds 3 "$@"
measure incremental --scale 1 --rounds 3 "$@"
measure restore --scale 1 --rounds 3 "$@"
measure restore --scale 1 --rounds 3 --quick --binlog "$@"
measure restore --scale 0.3 --rounds 2 --quick --server mysql "$@"
measure lane --scale 1 --rounds 3 --quick "$@"
for table in narrow wide skewed nokey; do
  measure snapshot --scale 0.3 --rounds 3 --table $table "$@"
  measure restore --scale 0.3 --rounds 3 --quick --table $table "$@"
done
measure scaling --scale 6 "$@"
for part in vault nights server "server --caches"; do
  measure many --part $part "$@"
done
"$python" bench/report.py
