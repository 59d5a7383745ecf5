"""Describes plugins for lists. Built-in ones are read from their source text, so that a list does not import torch."""

import ast
import inspect
from importlib.metadata import EntryPoint
from importlib.resources import files

from .contract import Kind
from .names import distribution_of, origin_of, registered
from .plugin import Argument, Description

BUILT_IN = "lukv-bench"


def describe_listed(kind: Kind) -> list[Description]:
    """Every registered plugin of a kind by name, including broken ones.

    Third-party plugins are imported to find out whether they work; built-in ones are read.
    """
    return [_describe(kind, name, points) for name, points in sorted(registered(kind).items())]


def _describe(kind: Kind, name: str, points: list[EntryPoint]) -> Description:
    description = origin_of(kind, name, points[0])
    if len(points) == 1 and description.distribution == BUILT_IN:
        return read_plugin(description, points[0])
    from .registry import describe  # imported only for third-party plugins: it loads torch

    return describe(kind, name, points)


def written_protection(scorer: str) -> tuple[int, int] | None:
    """The (sink, window) of a registered scorer, if its source gives them as constants.

    None if only an instance has them: for a third-party scorer, or one whose window is an argument.
    """
    points = registered("scorer")[scorer]
    if len(points) > 1 or distribution_of(points[0])[0] != BUILT_IN:
        return None
    field = _fields(_class(points[0])).get("protection")
    if field is None or not isinstance(field.value, ast.Call):
        return None
    numbers = {word.arg: _literal(word.value) for word in field.value.keywords}
    return int(str(numbers["sink"])), int(str(numbers["window"]))


def read_plugin(origin: Description, point: EntryPoint) -> Description:
    """A built-in plugin's description from its module's text; equal to that of the imported class.

    Raises:
        ValueError: its class does not have literal defaults, or has a base class.
    """
    written = _class(point)
    summary, _, details = inspect.cleandoc(ast.get_docstring(written) or "").partition("\n")
    own = _fields(written)
    constants = {name: node for name, node in own.items() if _is_class_variable(node)}
    return Description(
        kind=origin.kind,
        name=origin.name,
        summary=summary,
        details=details.strip(),
        source=str(_literal(constants["source"].value)),
        origin=origin.origin,
        distribution=origin.distribution,
        version=origin.version,
        arguments=tuple(_argument(name, node) for name, node in own.items() if name not in constants),
        fitted=any(isinstance(node, ast.FunctionDef) and node.name == "fit" for node in written.body),
    )


def _class(point: EntryPoint) -> ast.ClassDef:
    package, *folders = point.module.split(".")
    module = files(package).joinpath(*folders[:-1], f"{folders[-1]}.py")
    tree = ast.parse(module.read_text(encoding="utf-8"))
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == point.attr]
    if len(classes) != 1 or classes[0].bases:
        raise ValueError(f"{point.value} cannot be read as a plugin's class")
    return classes[0]


def _fields(written: ast.ClassDef) -> dict[str, ast.AnnAssign]:
    """The annotated fields and constants of a class by name."""
    nodes = [node for node in written.body if isinstance(node, ast.AnnAssign)]
    return {node.target.id: node for node in nodes if isinstance(node.target, ast.Name)}


def _is_class_variable(node: ast.AnnAssign) -> bool:
    return isinstance(node.annotation, ast.Subscript) and ast.unparse(node.annotation.value) == "ClassVar"


def _argument(name: str, node: ast.AnnAssign) -> Argument:
    default = None if node.value is None else _literal(node.value)
    return Argument(name, _type_name(node.annotation), default, required=node.value is None)


def _type_name(hint: ast.expr) -> str:
    if isinstance(hint, ast.Subscript) and ast.unparse(hint.value) == "Literal":
        return " or ".join(map(str, ast.literal_eval(ast.unparse(hint.slice))))
    return ast.unparse(hint)


def _literal(node: ast.expr | None) -> object:
    if node is None:
        raise ValueError("a constant has no value")
    return ast.literal_eval(node)
