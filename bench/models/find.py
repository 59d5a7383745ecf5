"""Where a model's files are: an alias, a hub id or a local folder."""

from pathlib import Path

from ... import UserError
from ..suggest import unknown
from .aliases import ALIASES
from .convert import converted


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
    """Refuse a name that can be no model, without fetching or loading anything.

    Raises:
        UserError: it is no alias, no model folder and has not the form of a hub id.
    """
    folder = Path(name).expanduser()
    if name in ALIASES or (folder / "config.json").is_file():
        return
    if folder.is_dir():
        raise UserError(f"{folder} holds no model (no config.json); name a folder made by save_pretrained().")
    if name.count("/") != 1 or name.startswith((".", "/", "~")):
        raise unknown("model", name, ALIASES, "; a hub id such as organisation/name or a local folder works too")


def _from_hub(name: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    wanted = ["*.safetensors", "*.json", "*.jinja", "*.model", "*.txt"]
    try:
        return Path(snapshot_download(name, allow_patterns=wanted))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        reason = str(error).strip().splitlines()[0]
        raise UserError(
            f"cannot get the model {name!r} from the hub ({reason}); check its spelling and the network, or use "
            f"the model {', '.join(ALIASES)} or a local folder."
        ) from error
