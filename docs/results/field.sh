#!/usr/bin/env bash
# Makes the tables of field.md beside this file: to the results that come with lukv-bench it adds four scorers under
# uniform, LU-KV and a global ranking, and the other allocators with the scorers that suit them. 45 CPU minutes; an
# interrupted run goes on where it stopped, and two that are started share the work. Needs lukv-bench on the PATH.
set -euo pipefail
cd "$(dirname "$0")"
db="${1:-field.db}"
[ -f "$db" ] || xz -dkc ../../leaderboard/example.db.xz > "$db"
run() {
  lukv-bench run --db "$db" --ratio 0.5 --ratio 0.8 --ratio 0.9 --ratio 0.95 --no-baselines "$@" \
    --tasks niah_single_1,niah_multikey_1 --length 1280 --limit 12 --seed 0 --device cpu --dtype float32
}
run --allocator uniform --allocator lukv --allocator global --scorer kvzip --scorer kvzap --scorer laprox --scorer defensive
run --allocator headkv --allocator duoattention --scorer keydiff --scorer snapkv --scorer kvzip
run --allocator cake --scorer cake
run --allocator adakv:alpha=0 --scorer defensive
run --allocator duoattention --scorer streaming_llm
run --allocator zigzagkv --allocator entrokv --scorer snapkv
python ../../tests/benchmarks/field.py "$db" --ratio 0.5 --ratio 0.8 --ratio 0.9 --ratio 0.95
