"""How full lines are counted: expressions over the lines of functions' bodies."""

import importlib.util
import subprocess
import sys

import pytest


@pytest.fixture
def density(repository):
    """The script as a module."""
    spec = importlib.util.spec_from_file_location("density", repository / "tools" / "density.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["density"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["density"]


def test_expressions_and_lines_are_those_of_the_body_without_its_docstring(density):
    source = 'def double(number):\n    """Twice."""\n    # Why.\n    twice = number + number\n\n    return twice\n'
    found = density.measure(source)
    # twice, number + number with both its names; and the returned name. The comment stands before the first statement.
    assert found == density.Density(expressions=5, lines=3)
    assert found.per_line == pytest.approx(5 / 3)


def test_a_nested_function_counts_once(density):
    nested = density.measure("def outer():\n    def inner():\n        return 1\n    return inner\n")
    # The constant and the name, on the three lines of outer's body.
    assert nested == density.Density(expressions=2, lines=3)


def test_code_outside_of_functions_does_not_count(density):
    assert density.measure("A = 1 + 2\n\n\nclass B:\n    c = A\n") == density.Density(0, 0)


def test_more_than_allowed_ends_with_an_error(repository, tmp_path):
    (tmp_path / "full.py").write_text("def f(a):\n    return a + a + a + a\n")
    command = [sys.executable, repository / "tools" / "density.py", tmp_path, "--at-most"]
    assert subprocess.run([*command, "7"], capture_output=True).returncode == 0
    finished = subprocess.run([*command, "6.9"], capture_output=True, text=True)
    assert finished.returncode == 1
    assert finished.stdout.splitlines()[-1].split() == ["7.00", "7", "1", "in", "all"]
