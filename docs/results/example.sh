#!/usr/bin/env bash
# Makes leaderboard/example.db.xz, the results that come with lukv-bench: every allocator with four scorers at six budgets,
# with floors and oracles, on two needle tasks; fidelity and evidence of every answer. 40 CPU minutes; an interrupted run
# goes on where it stopped, and two that are started share the work. Needs lukv-bench on the PATH.
set -euo pipefail
cd "$(dirname "$0")"
db="${1:-example.db}"
lukv-bench run --db "$db" --floors --oracles \
  --allocator lukv --allocator adakv --allocator pyramidkv --allocator global --allocator shuffled:of=lukv \
  --scorer keydiff --scorer snapkv --scorer knorm --scorer expected_attention \
  --ratio 0.25 --ratio 0.5 --ratio 0.75 --ratio 0.8 --ratio 0.9 --ratio 0.95 \
  --tasks niah_single_1,niah_multikey_1 --length 1280 --limit 12 --seed 0 --device cpu --dtype float32
python3 pack_example.py "$db" ../../leaderboard/example.db.xz
