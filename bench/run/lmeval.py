"""The bridge to lm-eval: it renders the requests once and turns stored answers into metrics."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lm_eval.api.model import LM
from lm_eval.evaluator import evaluate

from ...tasks.load import LoadedTask
from ..engine.prompt import chat_form, render_turns
from ..record.hashing import content_hash


class ReplayLM(LM):  # type: ignore[misc]  # lm-eval is untyped
    """Gives lm-eval the answers that were generated before, prompt by prompt.

    Answers are looked up by position and checked against the prompt that they were given to.
    """

    def __init__(self, tokenizer: Any, answers: Sequence[tuple[str, str]]) -> None:
        """Takes (prompt, text) per sample, in the order of the samples."""
        super().__init__()
        self._tokenizer = tokenizer
        self._answers = answers

    @property
    def tokenizer_name(self) -> str:
        """Part of lm-eval's request cache, which is never used here."""
        return "lukv-bench"

    def apply_chat_template(self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True) -> str:
        """The model's own template, as in the run."""
        return render_turns(self._tokenizer, chat_history, add_generation_prompt)

    def generate_until(self, requests: list[Any], disable_tqdm: bool = False) -> list[str]:
        """The stored texts."""
        texts = []
        for request in requests:
            prompt, text = self._answers[request.doc_id]
            if request.args[0] != prompt:
                raise ValueError(f"sample {request.doc_id} has another prompt than its answer was given to")
            texts.append(text)
        return texts

    def loglikelihood(self, requests: list[Any]) -> list[tuple[float, bool]]:
        """Not stored."""
        raise ValueError("stored answers hold no likelihoods")

    def loglikelihood_rolling(self, requests: list[Any]) -> list[float]:
        """Not stored."""
        raise ValueError("stored answers hold no likelihoods")


@dataclass(frozen=True)
class RenderedSample:
    """One sample as lm-eval puts it to a model.

    Attributes:
        document: The task's document.
        prompt: Rendered: template and answer prefix included.
        generation: lm-eval's generation arguments.
    """

    ordinal: int
    document: Mapping[str, Any]
    prompt: str
    generation: Mapping[str, Any]

    @property
    def prompt_hash(self) -> str:
        """Hash of the rendered prompt."""
        return content_hash(self.prompt)

    @property
    def generation_hash(self) -> str:
        """Hash of the generation arguments."""
        return content_hash(dict(self.generation))


def render_samples(task: LoadedTask, tokenizer: Any) -> list[RenderedSample]:
    """Every sample's prompt and generation arguments, in order."""
    lm = ReplayLM(tokenizer, [])
    task.task.build_all_requests(
        apply_chat_template=chat_form(tokenizer, task.info.chat) == "chat",
        chat_template=lm.apply_chat_template,
        tokenizer_name=lm.tokenizer_name,
    )
    return [
        RenderedSample(instance.doc_id, instance.doc, instance.args[0], dict(instance.args[1]))
        for instance in task.task.instances
    ]


def score_answer(task: LoadedTask, sample: RenderedSample, text: str) -> float:
    """The task's metric for one answer, in [0, 1]."""
    return float(task.task.process_results(dict(sample.document), [text])["score"])


@dataclass(frozen=True)
class CellScore:
    """A cell's metric, on the scale 0 to 100.

    Attributes:
        stderr: None for a single sample.
    """

    score: float
    stderr: float | None


def replay(task: LoadedTask, tokenizer: Any, answers: Sequence[tuple[str, str]]) -> CellScore:
    """Let lm-eval score and aggregate stored answers, (prompt, text) per sample in order."""
    results = evaluate(
        ReplayLM(tokenizer, answers),
        task.task_dict,
        bootstrap_iters=1,  # 0 would turn even the analytic standard error off
        log_samples=False,
        apply_chat_template=chat_form(tokenizer, task.info.chat) == "chat",
        verbosity="ERROR",
    )
    found = results["results"][task.info.name]
    stderr = found.get("score_stderr,none")
    return CellScore(100 * found["score,none"], 100 * stderr if isinstance(stderr, float) else None)
