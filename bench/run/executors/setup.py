"""What a worker outside this process is made from. It is handed over once, when the worker starts."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .... import UserError
from ....kernels.backend import Backend
from ....scorers.base import Profile
from ...engine.ready import ready_model
from ...models.aliases import ALIASES
from ...models.devices import resolve_backend, resolve_device
from ...models.load import LoadedModel
from ..batching import Batching
from ..worker import Worker


@dataclass(frozen=True)
class WorkerSetup:
    """A worker that is yet to be made. It can be pickled.

    Attributes:
        model: Alias, hub id or absolute folder.
        revision: The model's content hash, which the worker's must have.
        device: None = CUDA where there is one.
        dtype: A name of `DTYPES`.
        thinking: Whether thinking is enabled.
        backend: Of the kernels, which the worker's device must serve.
        profiles: By hash.
        batching: How the configurations of a unit decode.
        n_threads: Of torch on the CPU; None = torch's default.
    """

    model: str
    revision: str
    device: str | None
    dtype: str
    thinking: bool
    backend: Backend
    profiles: Mapping[str, Profile]
    batching: Batching
    n_threads: int | None = None

    @classmethod
    def of(
        cls, loaded: LoadedModel, device: str | None, profiles: Mapping[str, Profile], batching: Batching
    ) -> "WorkerSetup":
        """The setup of workers on the same model as a loaded one."""
        return cls(
            model=place_of(loaded.name),
            revision=loaded.revision,
            device=device,
            dtype=loaded.dtype,
            thinking=loaded.thinking.on,
            backend=loaded.backend,
            profiles=profiles,
            batching=batching,
        )

    def make(self) -> Worker:
        """Load the model and make the worker.

        Raises:
            UserError: the model, the device or the backend cannot be had here, or the model is not the driver's.
        """
        import torch
        from transformers.utils import logging

        logging.disable_progress_bar()
        if self.n_threads is not None:
            torch.set_num_threads(self.n_threads)
        device = resolve_device(self.device)
        backend = resolve_backend(self.backend, device)
        loaded = ready_model(self.model, device, self.dtype, self.thinking, backend)
        if loaded.revision != self.revision:
            raise UserError(
                f"the model {self.model} has another content where a worker runs ({loaded.revision[:12]}) than where "
                f"the run was started ({self.revision[:12]}); put the same files in both places."
            )
        return Worker(loaded, self.profiles)


def place_of(name: str) -> str:
    """A model's name that also holds in another working folder."""
    folder = Path(name).expanduser()
    return str(folder.absolute()) if name not in ALIASES and folder.is_dir() else name
