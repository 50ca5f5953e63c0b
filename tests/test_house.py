"""Rules of the house that no linter checks."""

import ast
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import pfmap
from pfmap import complexity, maps

ROOT = Path(pfmap.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))


@pytest.mark.parametrize("room", [pfmap, maps, complexity], ids=lambda room: room.__name__)
def test_public_names_are_listed_and_explained(room):
    assert len(set(room.__all__)) == len(room.__all__)
    for name in room.__all__:
        thing = getattr(room, name)
        if callable(thing) or inspect.ismodule(thing):
            documentation = inspect.getdoc(thing)
            assert documentation, f"{room.__name__}.{name} has no docstring"
            # A dataclass without a docstring gets its signature for one.
            assert not documentation.startswith(f"{name}("), f"{room.__name__}.{name} has no docstring of its own"


def test_every_file_says_what_it_is_for():
    undocumented = [str(file) for file in FILES if not ast.get_docstring(ast.parse(file.read_text()))]
    assert not undocumented


def modules_named(tree):
    """Names such as numpy.random.default_rng, from attribute chains and imports alike."""
    short = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                short[alias.asname or alias.name.split(".")[0]] = (
                    alias.name if alias.asname else alias.name.split(".")[0]
                )
                yield alias.name
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                short[alias.asname or alias.name] = f"{node.module}.{alias.name}"
                yield f"{node.module}.{alias.name}"
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            parts, inner = [node.attr], node.value
            while isinstance(inner, ast.Attribute):
                parts.append(inner.attr)
                inner = inner.value
            if isinstance(inner, ast.Name) and inner.id in short:
                yield ".".join([short[inner.id], *reversed(parts)])


def draws_by_itself(source):
    types = {"numpy.random.Generator"}  # an annotation draws nothing
    banned = ("numpy.random.", "random.", "secrets.rand", "torch.rand", "torch.manual_seed", "os.urandom")
    return sorted(n for n in modules_named(ast.parse(source)) if n.startswith(banned) and n not in types)


@pytest.mark.parametrize("file", [f for f in FILES if f.name != "streams.py"], ids=lambda f: str(f.relative_to(ROOT)))
def test_randomness_comes_from_streams_alone(file):
    assert not draws_by_itself(file.read_text())


@pytest.mark.parametrize(
    "fault",
    [
        "import random\nrandom.random()",
        "import numpy as np\nnp.random.seed(0)",
        "import numpy as np\nrng = np.random.default_rng()",
        "from numpy.random import default_rng",
        "from random import choice",
        "import torch\ntorch.randn(3)",
        "def f():\n    import torch as t\n    return t.rand(2)",
    ],
)
def test_other_randomness_is_caught(fault):
    assert draws_by_itself(fault)


def imported_with(statement):
    code = f"{statement}; import sys; print(*sys.modules)"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()


def test_start_up_waits_for_no_large_library():
    heavy = {"torch", "matplotlib", "duckdb", "dask", "pandas", "polars", "networkx", "bokeh"}
    assert not heavy & set(imported_with("import pfmap"))
    assert "duckdb" in imported_with("import duckdb")  # what a slip would look like


def test_tests_themselves_seed_nothing_globally():
    for file in Path(__file__).parent.glob("*.py"):
        assert not any(
            name.startswith(("numpy.random.seed", "random.seed", "torch.manual_seed"))
            for name in modules_named(ast.parse(file.read_text()))
        ), file
