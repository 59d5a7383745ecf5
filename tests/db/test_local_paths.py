"""Local folders are cut out of texts; all else stays."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lukv_bench.db.local_paths import publishable, without_folders


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("/home/me/results.db", "results.db"),
        ("~/models/tiny", "tiny"),
        ("~me/models/tiny/", "tiny"),
        ("../client-x/a.bin and ./b/c.bin", "a.bin and c.bin"),
        ("no such file: '/home/John Doe/my weights.bin'", "no such file: 'my weights.bin'"),
        ("ValueError: /home/me/x.py:12: bad", "ValueError: x.py:12: bad"),
        ("reading failed:/home/me/x.bin", "reading failed:x.bin"),
        ("lukv:profile=/home/me/a b/p.safetensors x knorm @ 0.8", "lukv:profile=p.safetensors x knorm @ 0.8"),
        ("shuffled:of=(lukv:profile=deep/p.safetensors) x knorm", "shuffled:of=(lukv:profile=p.safetensors) x knorm"),
        ("one:file=/a b/c d.bin,k=../x/y.bin", "one:file=c d.bin,k=y.bin"),
        ("sqlite:////home/me/r.db", "sqlite:r.db"),
        ("file:///home/me/r.db?mode=ro", "file:r.db?mode=ro"),
        ("open </home/me/x.bin> or '/a/b c'/'/d/e f'", "open <x.bin> or 'b c'/'e f'"),
    ],
)
def test_a_path_becomes_the_files_own_name(text: str, shown: str) -> None:
    assert without_folders(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "https://github.com/NVIDIA/kvpress",
        "postgresql://me:***@host:5432/results?sslmode=require",
        "HuggingFaceTB/SmolLM2-135M-Instruct",
        "kept 3/4 of 1 / 2, and/or all; N/A",
        "arXiv 2602.08585 (ICML 2026), docs/plugins.md",
        "critical:of=(snapkv:window=64,kernel=5) x knorm @ 0.8",
        "alpha=1.0 ~ beta",
        "<b>what</b> is <i >kept</i >",
        "3 /4 of the tokens, /or none",
        'either "a"/"b"',
        "[/INST] and [/s]",
    ],
)
def test_what_is_no_local_path_stays(text: str) -> None:
    assert without_folders(text) == text


FOLDERS = st.lists(st.text("abz09._-é", min_size=1), min_size=1).filter(lambda parts: parts[-1].strip("."))


@given(FOLDERS, st.sampled_from(["{}", "'{}'", "bad file {}", "x={},n=3", "({})", '"{}": no', "[Errno 2] x: '{}'"]))
def test_no_folder_survives_wherever_a_path_stands(parts: list[str], sentence: str) -> None:
    path = "/" + "/".join(["secret-folder", *parts])
    shown = without_folders(sentence.format(path))
    assert "secret-folder" not in shown
    assert parts[-1] in shown


def test_json_values_are_cleaned_at_any_depth() -> None:
    value = {"a": ["/x y/y z.bin", 3, None, {"/x/k": True}], "b": 0.5}
    assert publishable(value) == {"a": ["y z.bin", 3, None, {"k": True}], "b": 0.5}
