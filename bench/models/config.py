"""A model's configuration without its weights."""

import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ... import UserError
from ..errors import first_line
from .aliases import ALIASES
from .convert import alias_folder
from .find import check_model_name

if TYPE_CHECKING:
    import torch


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


def empty_model(name: str, config: Any, dtype: "torch.dtype | None" = None) -> Any:
    """The model that a configuration describes, on the meta device: its modules, without memory for weights.

    Args:
        name: The model, for messages.
        config: It is not changed.
        dtype: Of the weights; None = the configuration's.

    Raises:
        UserError: transformers cannot build it.
    """
    import torch
    from transformers import AutoModelForCausalLM

    try:
        with torch.device("meta"):
            return AutoModelForCausalLM.from_config(
                copy.deepcopy(config), **({} if dtype is None else {"dtype": dtype})
            )
    except Exception as error:  # transformers may raise anything over a wrong configuration
        reason = first_line(error).rstrip(".")
        raise UserError(f"{name} ({config.model_type}) cannot be built from its configuration: {reason}.") from error
