"""Where a model's files are: an alias, a hub id or a local folder."""

import os
from pathlib import Path

from ... import UserError
from ..errors import message_of
from ..files.access import user_path
from ..suggest import unknown
from .aliases import ALIASES
from .convert import alias_folder, converted


def find_model(name: str) -> Path:
    """The local folder of a model; fetches an alias or a hub id on first use.

    Raises:
        UserError: there is no such model, or it cannot be fetched.
    """
    check_model_name(name)
    if name in ALIASES:
        return converted(ALIASES[name])
    folder = Path(name).expanduser()
    return folder if folder.is_dir() else _from_hub(name)


def check_model_name(name: str) -> None:
    """Refuse a name that cannot be a model, without fetching or loading anything.

    Raises:
        UserError: it is neither an alias nor a model folder nor in the form of a hub id.
    """
    if not name.strip():
        raise UserError("--model is empty; name an alias, a hub id or a folder, or leave --model out.")
    if name in ALIASES:
        return
    folder = user_path(name, "--model")
    if (folder / "config.json").is_file():
        _check_files(folder)
        return
    if folder.is_dir():
        raise UserError(f"{folder} holds no model (no config.json); name a folder made by save_pretrained().")
    if name.count("/") != 1 or name.startswith((".", "/", "~")):
        raise unknown("model", name, ALIASES, "; a hub id such as organisation/name or a local folder works too")


def loading(name: str) -> str:
    """The progress text for loading a model; it mentions the download if there may be one."""
    there = alias_folder(ALIASES[name]).is_dir() if name in ALIASES else Path(name).expanduser().is_dir()
    return f"loading {name}" if there else f"loading {name} (fetched on first use)"


def _check_files(folder: Path) -> None:
    """Refuse a folder that contains a device or a pipe, which may have no end."""
    for path in sorted(folder.iterdir()):
        if path.exists() and not (path.is_file() or path.is_dir()):
            raise UserError(f"{path} is a device or a pipe, and a model's folder holds files; remove it.")


def model_title(name: str) -> str:
    """A model without the folders around it: a local folder's own name, else the name as typed."""
    folder = Path(name).expanduser()
    return os.path.basename(os.path.abspath(folder)) if name not in ALIASES and folder.is_dir() else name


def _from_hub(name: str) -> Path:
    from huggingface_hub import snapshot_download

    allowed = ["*.safetensors", "*.json", "*.jinja", "*.model", "*.txt"]
    ignored = ["consolidated*", "*/*"]  # the same weights in another format, and files that are not the model's
    try:
        return Path(snapshot_download(name, allow_patterns=allowed, ignore_patterns=ignored))
    except Exception as error:  # the hub's client also raises errors of its network library
        reason = message_of(error) or type(error).__name__
        raise UserError(
            f"cannot get the model {name!r} from the hub ({reason}); check its spelling and the network, or use "
            f"the model {', '.join(ALIASES)} or a local folder."
        ) from error
