"""The command line's tiny models and homes, for those who call the API instead."""

import importlib.util
from pathlib import Path

_SPEC = importlib.util.spec_from_file_location("cli_conftest", Path(__file__).parents[1] / "cli" / "conftest.py")
assert _SPEC is not None
assert _SPEC.loader is not None
_cli = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(_cli)

home, slow, tiny, lukv_bench = _cli.home, _cli.slow, _cli.tiny, _cli.lukv_bench
