"""Imports point one way, inference needs only what the container installs, and help is quick."""

import ast
import re
import subprocess
import sys
import tomllib

import pytest

# Distributions whose module is called otherwise.
MODULES = {"simpleitk": "SimpleITK"}
# What comes with a core dependency, and stands in for it: nnU-Net's own requirement, evalutils' data frames.
COMES_WITH = {"pandas": "evalutils"}


def imported_modules(path):
    """Top-level names of all that a file imports, wherever in the file."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module.partition(".")[0]


def imports_of(folder):
    return {module for path in folder.rglob("*.py") for module in imported_modules(path)}


@pytest.mark.parametrize(
    ("package", "forbidden"),
    [
        ("vestibule", {"contract", "training", "evaluation", "process", "tests", "benchmarks", "studies"}),
        ("contract", {"training", "evaluation", "process", "tests", "benchmarks", "studies"}),
        ("training", {"contract", "evaluation", "process", "tests", "benchmarks", "studies"}),
        ("evaluation", {"contract", "training", "process", "tests", "benchmarks", "studies"}),
    ],
)
def test_imports_point_towards_the_inference_package(repository, package, forbidden):
    imported = imports_of(repository / package)
    assert imported, f"no imports found under {package}"
    assert not imported & forbidden


def test_inference_imports_only_the_core_dependencies(repository):
    project = tomllib.loads((repository / "pyproject.toml").read_text())["project"]
    names = [re.match(r"[A-Za-z0-9_.-]+", line).group().lower() for line in project["dependencies"]]
    core = {MODULES.get(name, name) for name in names}
    imported = imports_of(repository / "vestibule") | set(imported_modules(repository / "process.py"))
    third_party = imported - set(sys.stdlib_module_names) - {"vestibule"}
    foreign = {module for module in third_party if COMES_WITH.get(module, module) not in core}
    assert not foreign


def test_process_imports_nothing_of_training_or_evaluation(repository):
    assert not set(imported_modules(repository / "process.py")) & {"training", "evaluation", "tests"}


HEAVY = ("torch", "nnunetv2", "monai", "SimpleITK", "nibabel", "scipy", "matplotlib", "pandas", "numpy")


# A command's options ask the table of editions, which knows masks as arrays.
NUMPY_ALONE = tuple(name for name in HEAVY if name != "numpy")


@pytest.mark.parametrize(
    ("arguments", "heavy"),
    [
        (["--help"], HEAVY),
        (["--version"], HEAVY),
        (["predict", "--help"], NUMPY_ALONE),
        (["check", "--help"], NUMPY_ALONE),
    ],
)
def test_help_imports_nothing_heavy(arguments, heavy):
    code = (
        "import sys; from vestibule.cli import main\n"
        f"sys.argv = ['vestibule', *{arguments!r}]\n"
        "try: main()\n"
        f"finally: sys.stderr.write(','.join(name for name in {heavy!r} if name in sys.modules))"
    )
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert finished.stdout
    assert (finished.returncode, finished.stderr) == (0, "")


def test_python_m_runs_the_command(repository):
    command = [sys.executable, "-m", "vestibule", "--version"]
    finished = subprocess.run(command, capture_output=True, text=True, cwd=repository)
    assert (finished.returncode, finished.stderr) == (0, "")
    assert finished.stdout.startswith("vestibule, version ")
