"""A method's page is rendered as far as it harms nobody."""

from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from lukv_bench.leaderboard import text
from lukv_bench.leaderboard.prose import Part, parts

from .hostile import HOSTILE

HARMLESS = {
    *("paragraph_open", "inline", "paragraph_close", "text", "text_special", "code_inline", "strong_open"),
    *("strong_close", "link_open", "link_close", "bullet_list_open", "list_item_open", "bullet_list_close"),
    "list_item_close",
}
PIECES = st.one_of(
    st.sampled_from([*HOSTILE.values()]),
    st.sampled_from(["**", "`", "[", "](", ")", "![", "```", "~~~", "\n", "\n\n", "- ", "\\", "<", " ", "    ", "# "]),
    st.sampled_from(["https://a.example/x", "javascript:x", "**bold**", "[t](https://a.example)", "1. ", "|", "$x$"]),
    st.sampled_from(["`x`", "a:b", "<img/src=x:y`", "``"]),
)


def rendered(part: Part) -> list[tuple[str, str | None]]:
    """(kind, address) of everything that a Markdown parser finds in a part."""
    tokens = MarkdownIt("commonmark", {"html": True}).enable("table").parse(part.text)
    inner = [child for token in tokens for child in token.children or []]
    return [(token.type, token.attrs.get("href")) for token in [*tokens, *inner]]  # type: ignore[misc]  # texts


@given(st.lists(PIECES, max_size=8).map("".join))
def test_only_harmless_kinds_are_left(document: str) -> None:
    for part in parts(document):
        if part.is_code:
            continue
        found = rendered(part)
        assert {kind for kind, _ in found} <= HARMLESS
        addresses = [address for kind, address in found if kind == "link_open"]
        assert [text.link(address) for address in addresses] == addresses


def test_a_page_of_ours_looks_as_it_was_written() -> None:
    page = (
        "```text\nn = budget / heads\n```\n\n**Source:** Tang et al., [arXiv 2602.08585](https://arxiv.org/abs/2602.08585),\n"
        "the curve \\[99, L, H\\].\n\n- one `x_1`\n- two\n"
    )
    code, source, *items = parts(page)
    assert code == Part("n = budget / heads", is_code=True)
    kinds = rendered(source)
    assert ("strong_open", None) in kinds
    assert ("link_open", "https://arxiv.org/abs/2602.08585") in kinds
    assert [part.text for part in items] == ["- one `x_1`", "- two"]


def test_an_image_and_a_script_are_shown_as_text() -> None:
    (part,) = parts("![x](https://evil.example/p.png) <script>alert(1)</script> [go](javascript:alert(1))")
    shown = {kind for kind, _ in rendered(part)}
    assert shown <= {"paragraph_open", "inline", "paragraph_close", "text", "text_special", "code_inline"}
