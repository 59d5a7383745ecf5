"""The texts that are calibrated on: which are refused, what is left out, and how long ones are cut."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lukv_bench import UserError
from lukv_bench.bench.calibration import window as window_module
from lukv_bench.bench.calibration.calibrate import MAX_NEW_TOKENS, calibrate
from lukv_bench.bench.calibration.documents import Document, built_in_documents, read_documents
from lukv_bench.bench.calibration.window import fit_to_window, prompts_of
from lukv_bench.bench.models.load import LoadedModel

from .letters import DOCUMENT, LETTERS, TARGETS, silent


def test_a_document_longer_than_the_model_is_refused_by_name(loaded: LoadedModel) -> None:
    long = Document("epic", "a long text " * 100, ("why?",))
    with pytest.raises(UserError, match=r"epic takes \d+ tokens, and tiny has 1024"):
        calibrate(loaded, TARGETS, [DOCUMENT, long], 0, silent)


def test_a_document_with_too_little_to_rank_is_refused(loaded: LoadedModel) -> None:
    with pytest.raises(UserError, match="too few to rank"):
        calibrate(loaded, TARGETS, [Document("note", "hi there", ("why?",))], 0, silent)


def test_the_built_in_texts_are_long_and_asked_about_enough(smollm2: LoadedModel) -> None:
    documents = built_in_documents()
    assert len(documents) >= 3
    for document in documents:
        assert len(smollm2.tokenizer(document.text)["input_ids"]) >= 4000
        assert len(document.questions) >= 10
        assert len(set(document.questions)) == len(document.questions)


def test_own_texts_come_in_pairs_with_one_question_a_line(tmp_path: Path) -> None:
    (tmp_path / "t").write_text("Some text.\n")
    (tmp_path / "q").write_text("First?\n\n  Second?\n")
    (document,) = read_documents([tmp_path / "t"], [tmp_path / "q"])
    assert document.text == "Some text."
    assert document.questions == ("First?", "Second?")
    with pytest.raises(UserError, match="in pairs"):
        read_documents([tmp_path / "t"], [])
    with pytest.raises(UserError, match="cannot read --text"):
        read_documents([tmp_path / "missing"], [tmp_path / "q"])
    (tmp_path / "empty").write_text(" \n")
    with pytest.raises(UserError, match="is empty"):
        read_documents([tmp_path / "t"], [tmp_path / "empty"])


def test_a_question_without_an_answer_is_left_out_and_a_text_without_answers_refused(loaded: LoadedModel) -> None:
    """An answer that ends with its first token records nothing; its zeros must not become a profile of ties."""
    everything = frozenset(range(len(LETTERS)))
    mute = dataclasses.replace(loaded, eos=everything)
    with pytest.raises(UserError, match="0 of 3 questions about fox"):
        calibrate(mute, TARGETS, [DOCUMENT], 0, silent)
    talkative = calibrate(loaded, TARGETS, [DOCUMENT], 0, silent)["keydiff"][0].importance
    half_mute = dataclasses.replace(loaded, eos=frozenset(range(0, len(LETTERS), 3)))
    some = calibrate(half_mute, TARGETS, [DOCUMENT], 0, silent)["keydiff"][0].importance
    assert 0 < len(some) <= len(talkative)
    assert (some.flatten(1).amax(dim=1) > 0).all()


LONG = Document(
    "epic", "the quick brown fox jumps over the lazy dog. " * 40, ("who jumps over it all and why?", "who?")
)


@pytest.mark.parametrize("window", [1024, 400])
def test_a_text_is_cut_to_the_models_window_at_a_word_and_says_so(loaded: LoadedModel, window: int) -> None:
    small = dataclasses.replace(loaded, shape=dataclasses.replace(loaded.shape, max_positions=window))
    fitted = fit_to_window(small, LONG, MAX_NEW_TOKENS)
    assert LONG.text.startswith(fitted.text)
    assert LONG.text[len(fitted.text)].isspace()
    n_tokens = max(prompt.n_tokens for prompt in prompts_of(small, fitted)) + MAX_NEW_TOKENS
    assert window - 10 < n_tokens <= window, "no word more would fit"
    assert fitted.record == Document("epic", fitted.text, LONG.questions).record | {
        "characters": len(fitted.text),
        "of_characters": len(LONG.text),
    }
    calibrate(small, TARGETS, [fitted], 0, silent)


def test_a_text_that_fits_stays_what_it_is(loaded: LoadedModel, smollm2: LoadedModel) -> None:
    assert fit_to_window(loaded, DOCUMENT, MAX_NEW_TOKENS) is DOCUMENT
    for document in built_in_documents():
        assert fit_to_window(smollm2, document, MAX_NEW_TOKENS) is document, "shipped profiles stay valid"


@given(st.integers(1, 3000), st.data())
def test_the_last_number_is_found_from_any_guess_without_looking_far_above_it(n: int, data: Any) -> None:
    last, guess = data.draw(st.integers(0, n)), data.draw(st.integers(-5, n + 5))
    looked: list[int] = []

    def holds(number: int) -> bool:
        looked.append(number)
        return number <= last

    assert window_module._last(holds, n, guess) == last
    assert max(looked) <= max(2 * last, guess, 1)
    assert len(looked) <= 2 * abs(guess - last).bit_length() + 3


@pytest.mark.parametrize("n_repeated", [0, 60, 2048])
@pytest.mark.parametrize("window", [190, 260, 400, 1024])
@pytest.mark.parametrize(
    "text", ["   ", "one", "a bc  def " * 3, "the quick brown fox " * 9 + "  ", "word " * 60, "x" * 2000]
)
def test_the_longest_beginning_that_fits_is_kept(loaded: LoadedModel, text: str, window: int, n_repeated: int) -> None:
    """Against every beginning, one after the other."""
    small = dataclasses.replace(loaded, shape=dataclasses.replace(loaded.shape, max_positions=window))
    document = Document("text", text, ("who?", "who jumps over it?"))

    def fits(beginning: str) -> bool:
        n_tokens = [prompt.n_tokens for prompt in prompts_of(small, dataclasses.replace(document, text=beginning))]
        n_more = min(n_tokens[0], n_repeated) + window_module.MOST_IN_REQUEST if n_repeated else 0
        return max(n_tokens) + MAX_NEW_TOKENS <= window and n_tokens[0] + n_more <= window

    ends = [end for end in range(1, len(text) + 1) if not text[end - 1].isspace() and text[end : end + 1].strip() == ""]
    longest = next((each for each in (text, *(text[:end] for end in reversed(ends))) if fits(each)), None)
    if longest is None:
        with pytest.raises(UserError, match="leave no room"):
            fit_to_window(small, document, MAX_NEW_TOKENS, n_repeated=n_repeated)
    else:
        assert fit_to_window(small, document, MAX_NEW_TOKENS, n_repeated=n_repeated).text == longest


def test_questions_that_leave_no_room_are_refused(loaded: LoadedModel) -> None:
    wordy = Document("wordy", "some text", ("why " * 300 + "?",))
    with pytest.raises(UserError, match="questions about the calibration document wordy leave no room"):
        fit_to_window(loaded, wordy, MAX_NEW_TOKENS)


def test_a_text_of_any_size_is_cut_without_reading_it_whole(loaded: LoadedModel, monkeypatch: Any) -> None:
    lengths: list[int] = []
    real = window_module.split

    def spy(tokenizer: Any, prompt: str, context: str) -> Any:
        lengths.append(len(prompt))
        return real(tokenizer, prompt, context)

    monkeypatch.setattr(window_module, "split", spy)
    huge = Document("huge", "word " * 1_000_000, ("which?",))
    assert fit_to_window(loaded, huge, MAX_NEW_TOKENS).whole == 5_000_000
    assert max(lengths) <= 64 * 1024 + 100
