"""What a visitor chose, kept in the address: every view is a link that opens the same view elsewhere.

A widget of this module is bound to the query parameter of its key. A choice that equals the default is left out of the
address. What a link names and the database does not have is said on the page.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

import streamlit as st

from . import text as texts

T = TypeVar("T")

LONGEST_TEXT = 200
"""Characters that a visitor may type into a field."""


def labelled(values: Iterable[T], shown: Callable[[T], object] = str) -> dict[str, T]:
    """Values of the record by harmless labels that differ, which stand in widgets and links."""
    labels: dict[str, T] = {}
    for value in values:
        label, number = texts.line(shown(value)), 1
        while label in labels:
            number += 1
            label = f"{texts.line(shown(value))} ({number})"
        labels[label] = value
    return labels


def choice(
    key: str,
    label: str,
    options: Sequence[T],
    *,
    default: T | None = None,
    shown: Callable[[T], object] = str,
    help: str | None = None,
    disabled: bool = False,
) -> T:
    """One of some options; the first where there is no default and neither the visitor nor the link chose.

    Args:
        key: The query parameter's name.
        label: What the widget is for, for screen readers too.
        options: At least one.
        default: The one chosen at first.
        shown: An option in words, which also stand in the link.
        help: A sentence that explains the choice.
        disabled: Show it without letting it change.
    """
    labels = labelled(options, shown)
    _report_unknown(key, label, list(labels))
    index = list(labels.values()).index(default) if default is not None and default in options else 0
    chosen = st.selectbox(label, list(labels), index, key=key, bind="query-params", help=help, disabled=disabled)
    return labels.get(chosen or "", options[index])


def optional_choice(
    key: str, label: str, options: Sequence[T], *, shown: Callable[[T], object] = str, placeholder: str
) -> T | None:
    """One of some options; None until the visitor or the link chose. Arguments as of `choice`.

    Args:
        placeholder: Stands in the empty widget.
    """
    labels = labelled(options, shown)
    _report_unknown(key, label, list(labels))
    chosen = st.selectbox(label, list(labels), None, key=key, placeholder=placeholder, bind="query-params")
    return labels.get(chosen or "")


def choose(key: str, shown: object) -> None:
    """Choose an option of `choice` or `optional_choice` by what stands for it, from a callback."""
    st.session_state[key] = texts.line(shown)


def choices(
    key: str,
    label: str,
    options: Sequence[T],
    *,
    shown: Callable[[T], object] = str,
    help: str | None = None,
    disabled: bool = False,
) -> list[T]:
    """Some of the options: all of them where none is chosen. Arguments as of `choice`."""
    labels = labelled(options, shown)
    _report_unknown(key, label, list(labels))
    chosen = st.multiselect(
        label, list(labels), key=key, placeholder="All", bind="query-params", help=help, disabled=disabled
    )
    return [value for name, value in labels.items() if name in chosen] or list(options)


def some(
    key: str, label: str, options: Sequence[T], *, shown: Callable[[T], object] = str, placeholder: str, most: int
) -> list[T]:
    """Some of the options, at most so many; none where none is chosen. Other arguments as of `choice`."""
    labels = labelled(options, shown)
    _report_unknown(key, label, list(labels))
    chosen = st.multiselect(
        label, list(labels), key=key, placeholder=placeholder, max_selections=most, bind="query-params"
    )
    return [labels[name] for name in chosen if name in labels]


def segments(key: str, label: str, options: Sequence[str], *, help: str | None = None) -> str:
    """One of a few short options of ours, side by side; the first at first."""
    _report_unknown(key, label, options)
    chosen = st.segmented_control(
        label, options, default=options[0], required=True, key=key, bind="query-params", help=help
    )
    return chosen or options[0]


def switch(key: str, label: str, *, help: str | None = None) -> bool:
    """On or off; off at first."""
    return st.toggle(label, key=key, bind="query-params", help=help)


def number(key: str, label: str, *, least: int, most: int, default: int, help: str | None = None) -> int:
    """A whole number between two others, both included."""
    for raw in st.query_params.get_all(key):
        if not (raw.isascii() and raw.isdigit() and len(raw) < 10 and least <= int(raw) <= most):
            _warn(label, raw, f"is no whole number from {least} to {most}")
    return int(st.number_input(label, least, most, default, step=1, key=key, bind="query-params", help=help))


def text(key: str, label: str, *, placeholder: str = "", help: str | None = None) -> str:
    """A short text that the visitor types, without blanks around it."""
    chosen = st.text_input(
        label, max_chars=LONGEST_TEXT, key=key, placeholder=placeholder, bind="query-params", help=help
    )
    return (chosen or "").strip()


def _report_unknown(key: str, label: str, known: Sequence[str]) -> None:
    """Say which values of a link are not among the options; Streamlit leaves them out without a word."""
    for value in st.query_params.get_all(key):
        if value and value not in known:
            _warn(label, value, "is not in what this database holds")


def _warn(label: str, value: str, why: str) -> None:
    st.warning(f"{label}: {texts.markdown(value)} {why}; the link's choice was left out.")
