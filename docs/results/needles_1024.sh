#!/usr/bin/env bash
# Makes needles_1024.md beside this file: LU-KV, uniform and the full cache on two needle tasks (about half an hour
# on two cores). An interrupted run goes on where it stopped.
set -euo pipefail
cd "$(dirname "$0")"
db="${1:-needles_1024.db}"
lukv-bench run --db "$db" --allocator lukv --scorer keydiff --ratio 0.8 --ratio 0.9 \
  --tasks niah_single_1,niah_multikey_1 --length 1024 --limit 24 --seed 0 --device cpu --dtype float32
{
  echo "# Two needle tasks at 1,024 tokens"
  echo
  echo "SmolLM2-135M-Instruct (float32, CPU), scorer KeyDiff, 24 samples of seed 0, agnostic protocol. Written by"
  echo "\`docs/results/needles_1024.sh\`; choices that change answers (calibration texts, no floor) were made on samples of another seed"
  echo "and frozen before this ran."
  echo
  lukv-bench results --db "$db" --markdown
} > needles_1024.md
