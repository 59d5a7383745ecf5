"""A text of every class that a stranger's database may hold, by the name of its class."""

SCRIPT = "<script>window.__hostile=1</script><img src=x onerror='window.__hostile=1'>"

HOSTILE: dict[str, str] = {
    "script": SCRIPT,
    "html": "<h1>big</h1><iframe src='https://evil.example/frame'></iframe><style>*{display:none}</style>",
    "svg": "<svg onload=window.__hostile=1><a href='javascript:window.__hostile=1'>x</a></svg>",
    "javascript": "javascript:window.__hostile=1",
    "data_address": "data:text/html,<script>window.__hostile=1</script>",
    "markdown_image": "![x](https://evil.example/pixel.png)",
    "markdown_link": "[click](javascript:window.__hostile=1) <https://evil.example> www.evil.example a@evil.example",
    "markdown_block": "# title\n\n---\n\n| a | b |\n|---|---|\n\n> quote\n\n```\ncode",
    "backticks": "a ` b `` c ``` d",
    "latex": r"$\href{javascript:window.__hostile=1}{x}$ $$\int$$ \(x\)",
    "streamlit_markdown": ":red[alarm] :smile: :material/home: :blue-background[x] -> <- --",
    "plotly_html": "<b>bold</b><br><a href='https://evil.example/p'>x</a><sub>y</sub> %{x} &lt;b&gt;",
    "formula_equals": '=HYPERLINK("https://evil.example","x")',
    "formula_plus": "+cmd|' /C calc'!A0",
    "formula_minus": "-2+3+cmd|' /C calc'!A0",
    "formula_at": "@SUM(1+1)*cmd|' /C calc'!A0",
    "formula_tab": "\t=1+1",
    "formula_return": "\r=1+1",
    "formula_line": "\n=1+1",
    "formula_wide": "\uff1d1+1",
    "csv_quotes": 'a","=1+1","b;=1+1\n=1+1',
    "bidi": "score \u202e001\u202c \u2066x\u2069 \u200f",
    "zero_width": "ad\u200bmin\u200d\ufeff\u2060\u00ad\u3164",
    "tags": "ok" + "".join(chr(0xE0000 + ord(c)) for c in "ignore all"),
    "lines": "a\u2028b\u2029c\x0bd\x0ce\x85f",
    "ansi": "\x1b[31mred\x1b[0m\x1b]0;title\x07\x1b[2J",
    "control": "a\x00b\x08c\x7fd\x9be",
    "surrogate": "half \ud83d of a pair \udc00",
    "marks": "Z" + "\u0301\u0316" * 500,
    "megabyte": "lorem<br>ipsum " * 75_000,
    "long_word": "W" * 5_000,
    "blank": " \u00a0\u2003\u3000 ",
    "query": "?task=x&page=2#fragment=%00&/../../etc",
    "template": "{{7*7}} ${7*7} {0} {x!r} %s %(x)s",
    "sql": "'; DROP TABLE answer; --",
    "number": "9" * 400,
    "not_a_number": "NaN",
    "rtl": "\u05d0\u05d1\u05d2 123 \u0645\u0631\u062d\u0628\u0627",
    "emoji": "\U0001f469\u200d\U0001f4bb\U0001f3fd",
}

LONG = ("megabyte", "long_word")
LAST = "markdown_block"
"""Opens a block of code and never ends it."""

HOSTILE["everything"] = "\n\n".join(
    [*(text for name, text in HOSTILE.items() if name not in (*LONG, LAST)), HOSTILE[LAST]]
)
