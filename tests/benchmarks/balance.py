"""How evenly ragged attention's work is shared out, by simulation.

    python tests/benchmarks/balance.py [FOLDER]

FOLDER holds head budgets of TANGRAM (`*__profile.npz`, arXiv 2606.06302, github.com/aiha-lab/TANGRAM): what each
head of an 8B model keeps of 28 prompts. Row b of a batch takes those of prompt b. LU-KV's shipped profile of
SmolLM2-135M at 80% pruned is always there. Programs are dealt out over the multiprocessors in turn, as a card does. A
program takes the time of the slots it reads, and of 16 more for each item, whose queries it reads and whose partial
result it writes. A figure is the busiest multiprocessor's time over the mean; of a model's layers the worst and the
median are shown.

The work allows an even share where the mean share is at least LEAST slots: cuts are 16 slots apart and each
multiprocessor runs two programs, which may take up one more cut and one more item each.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from lukv_bench.bench.profiles.file import load_profile
from lukv_bench.kernels.ragged_attention.plan import CUT, Plan, balanced
from lukv_bench.kernels.ragged_attention.tiles import PROGRAMS_A_PROCESSOR

SHIPPED = Path(__file__).resolve().parents[2] / "bench" / "shipped_profiles" / "smollm2-135m.snapkv.safetensors"
PROCESSORS, BATCHES, LENGTHS = (108, 132, 148), (1, 4, 16, 64), (32_768, 131_072)
ITEM = 16
"""Slots that take the time of an item's queries and partial result: 4 query heads of 128 numbers are 3 KB, 6 slots."""
LEAST, BOUND = 512, 1.15


class Layer(NamedTuple):
    """The busiest multiprocessor's time over the mean, and the mean in slots."""

    ratio: float
    share: float


def budgets(folder: Path | None) -> Iterator[tuple[str, Tensor]]:
    """(name, shares that heads keep [prompts, L, H])."""
    yield "lukv smollm2-135m 80%", load_profile(SHIPPED).arrays["curve"][79:80].float()
    for path in sorted(folder.glob("*__profile.npz")) if folder else ():
        yield path.name.removesuffix("__profile.npz"), torch.from_numpy(np.load(path)["raw_ratio"][0]).float()


def times(plan: Plan, lengths: Tensor) -> Tensor:
    """int64 [P]: slots that each program reads, and those of its items."""
    segment, first, stop = plan.items.long()
    slots = torch.minimum(stop, lengths.flatten()[segment]) - first
    before = torch.cat([torch.zeros(1, dtype=torch.int64), (slots.clamp_min(0) + ITEM).cumsum(0)])
    return before[plan.of_program.long()].diff()


def layer(shares: Tensor, n_tokens: int, n_processors: int) -> Layer:
    """One launch over rows whose heads keep these shares [B, H]."""
    lengths = (shares * n_tokens).round().long()
    plan = balanced(lengths, PROGRAMS_A_PROCESSOR * n_processors, CUT)
    of_processor = times(plan, lengths).view(PROGRAMS_A_PROCESSOR, n_processors).sum(dim=0).double()
    return Layer(float(of_processor.max() / of_processor.mean()), float(of_processor.mean()))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", help="of head budgets")
    args = parser.parse_args()
    print(
        f"{'head budgets':44} {'heads keep':>12} {'tokens':>7} {'batch':>5} " + "".join(f"{n:>22}" for n in PROCESSORS)
    )
    worst, n_even, n_all = 0.0, 0, 0
    for name, shares in budgets(args.folder):
        kept = f"{float(shares.min()):.0%}-{float(shares.max()):.0%}"
        for n_tokens in LENGTHS:
            for n_batch in BATCHES:
                rows = shares[torch.arange(n_batch) % len(shares)]  # [B, L, H]
                cells = []
                for n_processors in PROCESSORS:
                    layers = [layer(rows[:, index], n_tokens, n_processors) for index in range(rows.shape[1])]
                    ratios = torch.tensor([one.ratio for one in layers])
                    allowed = [one.ratio for one in layers if one.share >= LEAST]
                    worst, n_even, n_all = max([worst, *allowed]), n_even + len(allowed), n_all + len(layers)
                    cells.append(
                        f"{float(ratios.max()):.3f} {float(ratios.median()):.3f} ({len(allowed)}/{len(layers)})"
                    )
                print(f"{name:44} {kept:>12} {n_tokens:>7} {n_batch:>5} " + "".join(f"{cell:>22}" for cell in cells))
    print("worst layer, median layer (layers whose work allows an even share / layers); columns are multiprocessors")
    print(
        f"worst where a multiprocessor's mean share is at least {LEAST} slots: {worst:.3f} ({n_even} of {n_all} layers)"
    )
    if worst > BOUND:
        raise SystemExit(f"more than {BOUND}")


if __name__ == "__main__":
    main()
