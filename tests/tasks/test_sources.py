"""Where rows come from, and what is said when they cannot be had."""

import hashlib
import json
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import huggingface_hub
import huggingface_hub.constants
import pytest

from lukv_bench import UserError
from lukv_bench.tasks.sources import Source, find_local, read_rows, rows_of

PUBLISHED = Source(file="set.json", repo="someone/something", revision="0" * 40)


def test_a_local_file_is_read_and_the_first_name_goes_first(tmp_path: Path) -> None:
    (tmp_path / "b.json").write_text('[{"n": 3}]')
    (tmp_path / "a.jsonl").write_text('{"n": 1}\n\n{"n": "two\\u2028"}\n')
    found = rows_of("some_task", tmp_path, ["a", "b"], PUBLISHED)
    assert list(found.rows) == [{"n": 1}, {"n": "two\u2028"}]
    assert list(rows_of("some_task", tmp_path, ["none", "b"], PUBLISHED).rows) == [{"n": 3}]
    assert find_local(tmp_path, ["none"]) is None


def test_line_separators_inside_a_text_end_no_row(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + '{"n": "a\u2028b\x85c"}\r\n{"n": "中文 {{x}}"}'.encode())
    assert [row["n"] for row in read_rows(path).rows] == ["a\u2028b\x85c", "中文 {{x}}"]


def test_characters_in_two_halves_are_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"n": "\\ud83d\\ude00"}\n{"n": "\\\\ud83d"}')
    assert [row["n"] for row in read_rows(path).rows] == ["\U0001f600", "\\ud83d"]


def test_a_json_file_is_a_list_or_holds_one_under_data(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"version": "2.0", "data": [{"n": 1}]}))
    assert list(read_rows(path).rows) == [{"n": 1}]


def test_the_revision_is_of_the_content(tmp_path: Path) -> None:
    one, same, other = (tmp_path / f"{name}.jsonl" for name in ("one", "same", "other"))
    one.write_text('{"n": 1}')
    same.write_text('{"n": 1}')
    other.write_text('{"n": 2}')
    assert read_rows(one).data_revision == read_rows(same).data_revision != read_rows(other).data_revision


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.jsonl", b'{"n": 1}\n{"n": 2\n', r"a\.jsonl, line 2: not valid JSON"),
        ("a.json", b'[\n{"n": 1},\n{"n" 2}]', r"a\.json, line 3: not valid JSON"),
        ("a.jsonl", b'{"n": 1}\n[2]\n', r"a\.jsonl, row 2: a JSON object is expected, not \[2\]"),
        ("a.json", b'{"rows": []}', r'a\.json: a list of rows is expected, .* under "data"'),
        ("a.json", b"3", r"a\.json: a list of rows is expected"),
        ("a.jsonl", b"\n", r"a\.jsonl holds no rows"),
        ("a.jsonl", b'{"n": "\xff"}', r"a\.jsonl is not UTF-8 text"),
        ("a.jsonl", b'{"n": 1}\n{"n": ["a \\ud83d b"]}', r"a\.jsonl, line 2: a text holds \\ud83d, half a character"),
        ("a.jsonl", b'{"\\uDC00": 1}', r"a\.jsonl, line 1: a text holds \\udc00"),
        ("a.json", b'{"data": [{"n": 1}, {"n": "\\ud800"}]}', r"a\.json, row 2: a text holds \\ud800"),
        ("a.jsonl", b'{"n": 1}\n{"n": ' + b"[" * 5000 + b"]" * 5000 + b"}", r"a\.jsonl, line 2: .* nested too deeply"),
        ("a.json", b"[" * 5000 + b"]" * 5000, r"a\.json: .* nested too deeply"),
        ("a.json", b'[{"n": ' + b"9" * 5000 + b"}]", r"a\.json: not valid JSON"),
    ],
)
def test_a_broken_file_is_told_by_its_place(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=said):
        list(rows_of("some_task", tmp_path, ["a"], PUBLISHED).rows)


def test_a_missing_file_and_a_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^some_task finds no data in .*: put a\.jsonl \(or \.json\) there\.$"):
        rows_of("some_task", tmp_path, ["a", "b"], PUBLISHED)
    with pytest.raises(UserError, match=r"^--data-dir .*/none is not a folder\.$"):
        rows_of("some_task", tmp_path / "none", ["a"], PUBLISHED)


def test_without_a_network_the_folder_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HOME", str(tmp_path))
    for source in (PUBLISHED, Source(file="x.json", url="https://example.invalid/x.json")):
        with pytest.raises(
            UserError, match=r"^some_task could not fetch .* put a\.json into a folder and name it with --data-dir\.$"
        ) as told:
            rows_of("some_task", None, ["a"], source)
        assert "\n" not in str(told.value)


def test_the_hub_is_asked_for_the_pinned_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    archive = tmp_path / "data.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("data/a.jsonl", '{"n": 1}')
    asked: list[object] = []

    def download(repo: str, file: str, *, repo_type: str, revision: str) -> str:
        asked.extend((repo, file, repo_type, revision))
        return str(archive)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    source = Source(file="data.zip", repo="someone/something", revision="0" * 40, member="data/a.jsonl")
    assert list(rows_of("some_task", None, ["a"], source).rows) == [{"n": 1}]
    assert asked == ["someone/something", "data.zip", "dataset", "0" * 40]
    gone = Source(file="data.zip", repo="someone/something", member="data/b.jsonl")
    with pytest.raises(UserError, match=r"data\.zip cannot be read"):
        rows_of("some_task", None, ["a"], gone)


CONTENT = b'{"data": [{"n": 7}]}'


@pytest.fixture
def address() -> Iterator[tuple[str, list[str]]]:
    """A server of one file, and the paths it was asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200 if self.path == "/x.json" else 404)
            self.end_headers()
            self.wfile.write(CONTENT)

        def log_message(self, *_: object) -> None:
            """Silent."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    thread.join()
    server.server_close()


def test_an_address_is_fetched_once_and_checked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, address: tuple[str, list[str]]
) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HOME", str(tmp_path))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    base, asked = address
    sha256 = hashlib.sha256(CONTENT).hexdigest()
    source = Source(file="x.json", url=f"{base}/x.json", sha256=sha256)
    for _ in range(2):
        assert list(rows_of("some_task", None, ["a"], source).rows) == [{"n": 7}]
    assert asked == ["/x.json"]
    folder = tmp_path / "lukv-bench"
    (tmp_path / "ordinary").touch()
    assert (folder / "x.json").stat().st_mode == (tmp_path / "ordinary").stat().st_mode, "others may read it"
    assert list(folder.iterdir()) == [folder / "x.json"]
    with pytest.raises(UserError, match="is not the file it was"):
        rows_of("some_task", None, ["a"], Source(file="y.json", url=f"{base}/x.json", sha256="0" * 64))
    with pytest.raises(UserError, match=r"could not fetch .*404.* --data-dir"):
        rows_of("some_task", None, ["a"], Source(file="z.json", url=f"{base}/z.json", sha256=sha256))


def test_a_download_that_cannot_be_written_leaves_nothing_behind(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, address: tuple[str, list[str]]
) -> None:
    def full(self: Path, content: bytes) -> int:
        self.touch()
        raise OSError("No space left on device")

    monkeypatch.setattr(huggingface_hub.constants, "HF_HOME", str(tmp_path))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(Path, "write_bytes", full)
    source = Source(file="x.json", url=f"{address[0]}/x.json", sha256="0" * 64)
    with pytest.raises(UserError, match=r"could not fetch .*No space left on device"):
        rows_of("some_task", None, ["a"], source)
    assert list((tmp_path / "lukv-bench").iterdir()) == []
