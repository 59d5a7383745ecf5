"""The command line's tiny models and homes, for those who call the API instead."""

from ..cli.conftest import home, lukv_bench, slow, tiny

__all__ = ["home", "lukv_bench", "slow", "tiny"]
