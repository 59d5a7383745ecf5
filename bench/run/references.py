"""The full cache's answers, which are the references of tasks that have none of their own."""

from collections.abc import Collection
from dataclasses import dataclass, field, replace

from ...db.store import Store
from ...tasks.document import Document
from ..samples.sample_set import Sample, SampleSet
from .plan import Plan


@dataclass(frozen=True)
class FullReferences:
    """The full cache's answers to samples whose task takes them as references.

    Attributes:
        plan: Whose cells are answered.
        store: Holds those of earlier runs.
        texts: Those of this run, by cell and sample.
    """

    plan: Plan
    store: Store
    texts: dict[tuple[str, str], str] = field(default_factory=dict)

    def cell_of(self, samples: SampleSet) -> str | None:
        """The id of the full cache's cell; None where references are the task's own."""
        if not samples.task.info.needs_full:
            return None
        return next((cell.id for cell in self.plan.cells_of(samples) if cell.method.method.scorer is None), None)

    def completed(self, samples: SampleSet, sample: Sample, cell_id: str, text: str | None) -> Sample:
        """The sample with its reference, as far as it is known.

        Args:
            samples: That it belongs to.
            sample: As it was made.
            cell_id: Of an answer to it.
            text: Of that answer; the full cache's is its own reference.
        """
        full = self.cell_of(samples)
        if full is None:
            return sample
        if cell_id == full and text is not None:
            self.texts[full, sample.id] = text
        if (full, sample.id) not in self.texts:
            stored = self.store.answer_text(full, sample.id)
            if stored is None:
                return sample
            self.texts[full, sample.id] = stored
        reference = self.texts[full, sample.id]
        rendered = sample.rendered
        document: Document = {**rendered.document, "outputs": [reference]}
        return replace(sample, rendered=replace(rendered, document=document))

    def waits(self, samples: SampleSet, sample_id: str, cells: Collection[str]) -> bool:
        """Whether one of these cells gives the reference, and it is not there yet."""
        full = self.cell_of(samples)
        return full in cells and (full, sample_id) not in self.texts
