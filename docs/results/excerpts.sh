#!/usr/bin/env bash
# Makes excerpts.md beside this file: two rows of each LongBench excerpt and two of RULER's own samples, under the full
# cache, uniform and LU-KV. Needs a folder with longbench/{multi_news,narrativeqa,multifieldqa_zh}.jsonl (THUDM's rows) and
# ruler/niah_multikey_3_4096.jsonl (RULER's output); lukv-bench on the PATH.
#
#     docs/results/excerpts.sh DATA [DB]
set -euo pipefail
data="$(cd "$1" && pwd)"
cd "$(dirname "$0")"
db="${2:-excerpts.db}"
common=(--db "$db" --allocator lukv --scorer keydiff --ratio 0.8 --limit 2 --device cpu --dtype float32)
lukv-bench run "${common[@]}" --data-dir "$data/longbench" \
  --tasks longbench_narrativeqa,longbench_multifieldqa_zh,longbench_multi_news
lukv-bench run "${common[@]}" --data-dir "$data/ruler" --tasks niah_multikey_3 --length 4096
{
  echo "# LongBench's and RULER's own rows, end to end"
  echo
  echo "SmolLM2-135M-Instruct (float32, CPU; 8,192 positions), two rows of each file, agnostic protocol: plumbing, not a"
  echo "ranking. Written by \`docs/results/excerpts.sh\`. A context that is too long loses its middle, and every such answer"
  echo "says how many tokens that were (the column events counts them)."
  echo
  lukv-bench results --db "$db" --markdown
} > excerpts.md
