"""Makes a plugin's documentation from its docstring, for the record and for docs/methods/README.md (`make docs`)."""

import re
import sys
from collections import Counter
from collections.abc import Set
from dataclasses import dataclass
from pathlib import Path

from ...db.schema import MethodPage
from .contract import Kind
from .plugin import Argument, Description
from .registry import describe_all

PLACE = Path("docs", "methods", "README.md")
OWN = "lukv-bench"
HEAD = """<!-- Made by `make docs` from the docstrings under scorers/ and allocators/: change those. -->

# Methods

What ships, in the words of the code; `lukv-bench list scorers NAME` prints the same. Any allocator runs with any
scorer. [A method of your own](../plugins.md) is listed in the same way once it is installed. How these are
[held against kvpress](kvpress.md).
"""
FORMULA = re.compile(r"^\S+ (=|~) ")
NEW = re.compile(r"^(Source:|Differs from the paper:|Monotone:|Not monotone:|Sink )")
LABEL = re.compile(r"^(Source|Differs from the paper|Monotone|Not monotone):")
ARXIV = re.compile(r"arXiv (\d{4}\.\d{5})")


@dataclass(frozen=True)
class Details:
    """A docstring below its first line.

    Attributes:
        paragraphs: Prose and formulas, each with its line breaks.
        meanings: The description of each argument, by name.
    """

    paragraphs: tuple[str, ...]
    meanings: dict[str, str]


def read_details(text: str) -> Details:
    """Split a docstring into paragraphs, which end at blank lines and before sections, and argument descriptions."""
    paragraphs: list[list[str]] = [[]]
    meanings: dict[str, str] = {}
    argument = ""
    inside = False
    for line in text.splitlines():
        if line == "Attributes:":
            inside = True
        elif inside and line.startswith("    "):
            name, _, meaning = line.strip().partition(": ") if line[4] != " " else (argument, "", line.strip())
            argument = name
            meanings[name] = f"{meanings.get(name, '')} {meaning}".strip()
        elif line.strip():
            inside = False
            if NEW.match(line):
                paragraphs.append([])
            paragraphs[-1].append(line)
        else:
            paragraphs.append([])
    return Details(tuple("\n".join(lines) for lines in paragraphs if lines), meanings)


def method_page(plugin: Description) -> MethodPage:
    """The page of a plugin, stored for readers without the plugin's code."""
    details = read_details(plugin.details)
    return MethodPage(
        kind=plugin.kind,
        name=plugin.name,
        distribution=plugin.distribution,
        version=plugin.version,
        summary=plugin.summary,
        source=plugin.source,
        details="\n".join(map(_paragraph, details.paragraphs)),
        arguments=[
            {
                "name": argument.name,
                "type": argument.type,
                "default": argument.default,
                "required": argument.required,
                "meaning": details.meanings.get(argument.name, ""),
            }
            for argument in plugin.arguments
        ],
    )


def page(root: Path) -> str:
    """The whole page. It links to pages written by hand beside it in the checkout `root`."""
    kinds: tuple[tuple[Kind, str], ...] = (("allocator", "Allocators"), ("scorer", "Scorers"))
    beside = {path.stem for path in (root / PLACE).parent.glob("*.md")}
    parts = [HEAD]
    own = {kind: [method for method in describe_all(kind) if method.distribution == OWN] for kind, _ in kinds}
    counts = Counter(method.name for methods in own.values() for method in methods)
    shared = {name for name, n in counts.items() if n > 1}
    for kind, title in kinds:
        sections = (_section(method, _title(method, shared), method.name in beside) for method in own[kind])
        parts += [f"## {title}\n", _overview(own[kind], shared), *sections]
    return "\n".join(parts)


def _title(method: Description, shared: Set[str]) -> str:
    """The name, and the kind of a method whose name another kind has, too."""
    return f"{method.name} ({method.kind})" if method.name in shared else method.name


def _overview(methods: list[Description], shared: Set[str]) -> str:
    anchors = [re.sub("[()]", "", _title(method, shared)).replace(" ", "-") for method in methods]
    rows = [
        f"| [{method.name}](#{anchor}) | {_prose(method.summary)} | {_prose(method.source)} |"
        for method, anchor in zip(methods, anchors, strict=True)
    ]
    return "\n".join(["| name | what it does | source |", "|---|---|---|", *rows]) + "\n"


def _section(method: Description, title: str, more: bool) -> str:
    details = read_details(method.details)
    parts = [f"### {title}\n", _prose(method.summary) + "\n", *map(_paragraph, details.paragraphs)]
    if method.arguments:
        rows = [_argument(argument, details.meanings.get(argument.name, "")) for argument in method.arguments]
        parts.append("\n".join(["| argument | default | meaning |", "|---|---|---|", *rows]) + "\n")
    if more:
        parts.append(f"More: [{method.name}.md]({method.name}.md).\n")
    return "\n".join(parts)


def _argument(argument: Argument, meaning: str) -> str:
    default = "required" if argument.required else f"`{argument.default!r}`"
    return f"| `{argument.name}`: {argument.type} | {default} | {_prose(meaning)} |"


def _paragraph(text: str) -> str:
    if FORMULA.match(text) or "\n    " in text:
        return f"```text\n{text}\n```\n"
    label = LABEL.match(text)
    if label is None:
        return _prose(text) + "\n"
    return f"**{label[0]}** {_prose(text[label.end() :])}\n"


def _prose(text: str) -> str:
    """Text with Markdown's special characters escaped, and papers as links."""
    pieces = " ".join(text.split()).split("`")
    pieces[::2] = [re.sub(r"([*_<>|\[\]])", r"\\\1", piece) for piece in pieces[::2]]
    return ARXIV.sub(r"[arXiv \1](https://arxiv.org/abs/\1)", "`".join(pieces))


def main() -> None:
    """Write the page into the checkout in the working folder."""
    PLACE.parent.mkdir(parents=True, exist_ok=True)
    PLACE.write_text(page(Path()), encoding="utf-8")
    print(f"wrote {PLACE}", file=sys.stderr)


if __name__ == "__main__":
    main()
