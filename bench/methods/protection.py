"""Protected tokens, checked before any plugin is imported."""

from collections.abc import Sequence

from ... import UserError
from ..plugins.source import written_protection
from .budget import Budget


def check_budgets(budgets: Sequence[Budget], scorers: Sequence[str], sink: int | None, window: int | None) -> None:
    """Refuse budgets below the protected tokens, if these are known without importing the scorer.

    Args:
        scorers: Registered ones, as typed.
        sink: As typed; None = each scorer's own.
        window: As typed; None = each scorer's own.

    Raises:
        UserError: one is below them, or sink or window is out of range.
    """
    check_protection(sink, window)
    counted = [budget for budget in budgets if budget.keep_tokens is not None]
    for spec in scorers if counted else ():
        own_sink, own_window = written_protection(spec.partition(":")[0]) or (0, 0)
        for budget in counted:
            check_protected(budget, (own_sink if sink is None else sink) + (own_window if window is None else window))


def check_protection(sink: int | None, window: int | None) -> None:
    """Refuse a sink or window out of range.

    Raises:
        UserError: one is negative, or 2**31 or more.
    """
    for name, value in (("--sink", sink), ("--window", window)):
        if value is not None and not 0 <= value < 2**31:
            raise UserError(f"{name} takes a number of tokens, 0 or more, not {value}.")


def check_protected(budget: Budget, n_protected: int) -> None:
    """Refuse a number of tokens to keep that is too small for any context.

    Raises:
        UserError: it is below the number of protected tokens.
    """
    keep = budget.keep_tokens
    if keep is not None and keep < n_protected:
        raise UserError(
            f"the budget {budget} is fewer than the {n_protected} protected ones (sink + window); keep more, or "
            "lower --sink and --window."
        )
