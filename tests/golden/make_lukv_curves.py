"""LU-KV profiles of the tiny models in kvpress's format, made by `lukv-bench`, for make_kvpress.py to feed LUKVPress.

python tests/golden/make_lukv_curves.py     in the environment of `lukv-bench`; run make_kvpress.py afterwards
"""

from pathlib import Path

import numpy as np
import torch
from models import LUKV_LENGTHS, MODELS, SINK, WINDOW, seeded_curve

from lukv_bench.allocators.lukv_export import kvpress_ratios
from lukv_bench.scorers.base import Profile, Protection


def main() -> None:
    """Write lukv-curves.npz: MODEL/T, float64 [99, L, H]."""
    curves = {}
    for name, config in MODELS.items():
        made = config()
        curve = seeded_curve(made.num_hidden_layers, made.num_key_value_heads)
        profile = Profile("lukv", {"curve": torch.from_numpy(curve)})
        for n_tokens in LUKV_LENGTHS:
            curves[f"{name}/{n_tokens}"] = kvpress_ratios(profile, n_tokens, Protection(SINK, WINDOW))
    np.savez_compressed(Path(__file__).with_name("lukv-curves.npz"), **curves)


if __name__ == "__main__":
    main()
