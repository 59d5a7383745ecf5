"""A model's configuration without its weights."""

from pathlib import Path
from typing import Any

from ... import UserError
from ..errors import first_line
from .aliases import ALIASES
from .convert import alias_folder
from .find import check_model_name


def read_config(name: str) -> Any:
    """transformers' configuration of an alias, a folder or a hub id; of a hub model its config.json alone is fetched.

    Raises:
        UserError: there is no such model, or its configuration is none that transformers knows.
    """
    check_model_name(name)
    from transformers import AutoConfig

    if name in ALIASES and not alias_folder(ALIASES[name]).is_dir():
        return AutoConfig.for_model(**ALIASES[name].config)
    folder = alias_folder(ALIASES[name]) if name in ALIASES else Path(name).expanduser()
    try:
        return AutoConfig.from_pretrained(folder if folder.is_dir() else name, trust_remote_code=False)
    except Exception as error:  # transformers and the hub's client raise anything over a file or a network
        reason = first_line(error).rstrip(".")
        raise UserError(
            f"the configuration of {name} cannot be read ({reason}); check the model's name and its config.json."
        ) from error
