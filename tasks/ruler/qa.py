"""RULER's question answering: a question's own documents among others of the same data set.

Source: RULER (arXiv 2404.06654, section 3.4); NVIDIA/RULER, scripts/data/synthetic/qa.py. Sample i asks the data
set's i-th answerable question, as in RULER.
Differs from RULER: which documents are added and where each stands is drawn for every sample (RULER's order is one
fixed permutation); every sample is filled separately, as in niah.py; too few documents for the
length are an error (RULER leaves the prompt short).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from ... import UserError
from ..definitions import Definition
from ..document import text_hash
from ..evidence import EvidenceDocument, verbatim_spans
from ..request import Documents, Request
from ..sources import Rows, Source, rows_of
from .corpora import Corpus, Question, read_hotpotqa, read_squad
from .draws import sample_rng
from .filling import filled

_INSTRUCTION = (
    "Answer the question based on the given documents. Only give me the answer and do not output any other words."
)
_HEAD = f"{_INSTRUCTION}\n\nThe following are given documents.\n\n"
_READERS: dict[str, Callable[[str, Rows], Corpus]] = {"squad": read_squad, "hotpotqa": read_hotpotqa}


class CorpusDocument(EvidenceDocument):
    """A document of a question answering task."""

    document: str
    """Hash of the question's own documents: other questions about them are not independent of it."""


@dataclass(frozen=True)
class CorpusDraft:
    """A question, and all documents in the order in which they are added; units are the added ones."""

    task: str
    index: int
    corpus: Corpus
    question: Question
    added: tuple[int, ...]
    places: tuple[float, ...]
    """For the question's own documents and then the added ones: they stand in ascending order."""
    fewest: int = 0
    first_step: int = 4

    @property
    def most(self) -> int:
        """All documents that were drawn."""
        return len(self.added)

    def document(self, units: int) -> CorpusDocument:
        """The sample with that many added documents."""
        shown = [*self.question.documents, *self.added[:units]]
        ordered = [number for _, number in sorted(zip(self.places, shown, strict=False))]
        texts = [f"Document {place}:\n{self.corpus.documents[number]}" for place, number in enumerate(ordered, start=1)]
        context = _HEAD + "\n\n".join(texts)
        own = [texts[place] for place, number in enumerate(ordered) if number in self.question.documents]
        return CorpusDocument(
            task=self.task,
            index=self.index,
            context=context,
            question=f"\n\n{_INSTRUCTION}\n\nQuestion: {self.question.text}",
            answer_prefix="Answer:",
            outputs=list(self.question.answers),
            all_classes=[],
            document=text_hash(self.corpus.documents[number] for number in self.question.documents),
            evidence=self._evidence(context, own),
        )

    def _evidence(self, context: str, own: Sequence[str]) -> list[list[int]]:
        """Where the answers stand in the question's own documents, which are numbered texts of the context."""
        spans: list[list[int]] = []
        for text in own:
            heading = text.partition("\n")[0] + "\n"
            start = context.index(text)
            spans += verbatim_spans(context, self.question.answers, start + len(heading), start + len(text))
        return spans


def documents(definition: Definition, request: Request) -> Documents:
    """The task's documents, as many as there are questions; UserError where length or data cannot serve."""
    metadata = definition["metadata"]
    rows = rows_of(request.task, request.data_dir, metadata["local_files"], Source(**metadata["published"]))
    corpus = _READERS[definition["dataset_kwargs"]["corpus"]](request.task, rows)
    if not corpus.questions:
        raise UserError(f"{request.task} finds no question with an answer in its data.")
    possible = replace(request, limit=min(request.limit, len(corpus.questions)))

    def drawn(length: int, index: int) -> CorpusDraft:
        rng = sample_rng(request.task, length, request.seed, index)
        question = corpus.questions[index]
        near = rng.sample(question.related, len(question.related))
        # "Document 1:" takes two tokens at least, so more documents never fit
        far = rng.sample(range(len(corpus.documents)), min(len(corpus.documents), length // 2))
        added = dict.fromkeys(number for number in (*near, *far) if number not in question.documents)
        places = tuple(rng.random() for _ in range(len(question.documents) + len(added)))
        return CorpusDraft(request.task, index, corpus, question, tuple(added), places)

    return Documents(filled(definition, possible, drawn), rows.data_revision)
