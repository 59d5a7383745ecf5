"""Sizes of launches that all ops choose alike."""

PROGRAMS = 528
"""Programs that keep a card busy: four for each multiprocessor of the largest one that is common, which has 132."""


def power_of_two(n: int) -> int:
    """The smallest power of two that is at least n, n >= 1."""
    return 1 << (n - 1).bit_length()


def chunk_of(n_tokens: int, block: int, n_others: int) -> int:
    """Tokens of one program where `n_others` programs read each token: whole blocks, at least one.

    Long enough that the programs are about `PROGRAMS`, since each one leaves a partial result that must be merged.
    """
    n_blocks = -(-n_tokens // block)
    n_chunks = min(n_blocks, -(-PROGRAMS // n_others))
    return block * -(-n_blocks // n_chunks)
