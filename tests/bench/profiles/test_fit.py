"""An allocator fits from documents that are for reading, and that other scorers' profiles are fitted from, too."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor

from lukv_bench.bench.errors import PluginError
from lukv_bench.bench.plugins.plugin import Description, Plugin
from lukv_bench.bench.profiles.fit import fit_arrays
from lukv_bench.bench.profiles.owner import ProfileOwner
from lukv_bench.scorers.base import CalibrationDocument, Protection

ANY_MODEL: Any = None


@dataclass(frozen=True)
class Fitting:
    write: Callable[[CalibrationDocument], Any]

    def fit(self, documents: tuple[CalibrationDocument, ...]) -> Mapping[str, Tensor]:
        for document in documents:
            self.write(document)
        return {"shares": torch.stack([document.importance.mean() for document in documents])}


def owner(plugin: Plugin) -> ProfileOwner:
    return ProfileOwner.of(plugin, None, Protection(2, 0))


@pytest.fixture
def documents() -> tuple[CalibrationDocument, ...]:
    made = torch.Generator().manual_seed(0)
    scores, importance = torch.rand(2, 2, 9, generator=made), torch.rand(3, 2, 2, 9, generator=made)
    return (CalibrationDocument(scores, importance, torch.arange(9) < 2),)


@pytest.mark.parametrize("name", ["scores", "importance", "protected"])
def test_a_fit_that_writes_into_a_document_fails_and_changes_it_for_nobody(
    documents: tuple[CalibrationDocument, ...], name: str
) -> None:
    before = getattr(documents[0], name).clone()
    writing = Plugin(
        Description("allocator", "writing"), Fitting(lambda document: getattr(document, name).logical_not_())
    )
    with pytest.raises(PluginError, match=f"^fitting a profile of writing failed: it changed the document's {name}: "):
        fit_arrays(owner(writing), documents, ANY_MODEL)
    assert torch.equal(getattr(documents[0], name), before)
    good = Plugin(Description("allocator", "good"), Fitting(id))
    assert fit_arrays(owner(good), documents, ANY_MODEL)["shares"] == documents[0].importance.mean()
