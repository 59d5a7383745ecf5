"""Tables for papers: LaTeX with the booktabs package."""

from collections.abc import Mapping, Sequence

from ..errors import printable
from .layout import LEFT

_SPECIAL = {
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
}
_LEFT = {*LEFT, "method", "budget"}


def latex_table(title: str, columns: Mapping[str, Sequence[str]]) -> str:
    """A table environment with caption: texts to the left, numbers to the right, and every special sign escaped."""
    alignment = "".join("l" if name in _LEFT else "r" for name in columns)
    lines = [
        r"\begin{table}",
        rf"\caption{{{escaped(title)}}}",
        rf"\begin{{tabular}}{{{alignment}}}",
        r"\toprule",
        _row(list(columns)),
        r"\midrule",
        *(_row(values) for values in zip(*columns.values(), strict=True)),
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines)


def escaped(text: str) -> str:
    """Text that LaTeX prints as it stands."""
    return "".join(_SPECIAL.get(sign, sign) for sign in printable(text))


def _row(values: Sequence[str]) -> str:
    return " & ".join(f"{{{escaped(value)}}}" if value.startswith("[") else escaped(value) for value in values) + r" \\"
