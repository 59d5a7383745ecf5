"""What `import lukv_bench` gives, and what it loads."""

import subprocess
import sys

import pytest

import lukv_bench as lb

HEAVY = ("torch", "transformers", "pandas", "numpy", "sqlalchemy", "pydantic", "typer", "rich", "lukv_bench.bench")


def test_the_import_loads_none_of_the_libraries_that_its_names_need() -> None:
    probe = f"import sys, lukv_bench, lukv_bench.db.errors; print([n for n in {HEAVY} if n in sys.modules])"
    ended = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "[]"


@pytest.mark.parametrize("name", lb.__all__)
def test_every_name_is_there_and_documented(name: str) -> None:
    value = getattr(lb, name)
    assert name in dir(lb)
    assert name in ("RESULTS_VERSION", "__version__") or value.__doc__


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="nosuch"):
        lb.nosuch  # noqa: B018
