#!/usr/bin/env bash
# Makes methods_1024.md beside this file: every allocator with three scorers at four budgets on three needle tasks, and
# the controls (counts shuffled over heads, tokens ranked at random). About an hour on two cores; an interrupted run
# goes on where it stopped. Needs lukv-bench on the PATH.
set -euo pipefail
cd "$(dirname "$0")"
db="${1:-methods_1024.db}"
lukv-bench run --db "$db" --batch 100 \
  --allocator pyramidkv --allocator adakv --allocator global --allocator lukv --allocator shuffled:of=lukv \
  --scorer keydiff --scorer snapkv --scorer knorm --scorer random \
  --ratio 0.3 --ratio 0.5 --ratio 0.8 --ratio 0.9 \
  --tasks niah_single_1,niah_multikey_1,niah_single_2 --length 1024 --limit 24 --seed 0 --device cpu --dtype float32
{
  echo "# Allocators x scorers x budgets on three needle tasks at 1,024 tokens"
  echo
  echo "SmolLM2-135M-Instruct (float32, CPU), 24 samples of seed 0, agnostic protocol. Written by"
  echo "\`docs/results/methods_1024.sh\`; LU-KV's profiles are the shipped ones. 24 samples tell 100 from 75, not 50 from 40:"
  echo "read the intervals, and none of them is corrected for the number of comparisons."
  echo
  lukv-bench results --db "$db" --grid
} > methods_1024.md
