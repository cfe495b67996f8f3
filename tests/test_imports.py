"""Imports point one way, inference needs only what the container installs, and help is quick."""

import ast
import graphlib
import re
import subprocess
import sys
import tomllib

import pytest

# Distributions whose module is called otherwise.
MODULES = {"simpleitk": "SimpleITK"}
# What comes with a core dependency, and stands in for it: nnU-Net's own requirement, evalutils' data frames.
COMES_WITH = {"pandas": "evalutils"}


ROOMS_WITH_EXTRAS = {"dicom": ("dicom",), "exchange": ("onnx", "hf", "monai")}
"""Folders of the inference package with the extras that they need."""


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
    # What an extra installs is imported in the room that needs it alone.
    allowed = set()
    for room, extras in ROOMS_WITH_EXTRAS.items():
        lines = [line for extra in extras for line in project["optional-dependencies"][extra]]
        installed = {re.match(r"[a-z-]+", line).group().replace("-", "_") for line in lines}
        allowed |= installed & imports_of(repository / "vestibule" / room)
        for path in (repository / "vestibule").rglob("*.py"):
            if path.parent.name != room:
                assert not set(imported_modules(path)) & installed, path
    assert foreign == allowed


def test_process_imports_nothing_of_training_or_evaluation(repository):
    assert not set(imported_modules(repository / "process.py")) & {"training", "evaluation", "tests"}


PACKAGES = ("vestibule", "contract", "training", "evaluation")
FOLDERS_OF_CODE = (*PACKAGES, "benchmarks", "studies", "tests", "tools")
MOST_LINES = 400


def module_name(repository, path):
    parts = path.relative_to(repository).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported_with_the_module(body):
    """Import statements that run when a module is imported: not those of functions, nor those for type checkers."""
    for node in body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node
        elif isinstance(node, ast.If) and "TYPE_CHECKING" not in ast.unparse(node.test):
            yield from imported_with_the_module([*node.body, *node.orelse])
        elif isinstance(node, ast.Try):
            yield from imported_with_the_module([*node.body, *node.orelse, *node.finalbody])
        elif isinstance(node, ast.ClassDef | ast.With):
            yield from imported_with_the_module(node.body)


def graph_of_imports(repository, packages):
    """Module -> modules of the project that importing it names."""
    paths = [path for package in packages for path in (repository / package).rglob("*.py")]
    modules = {module_name(repository, path): path for path in paths}
    graph = {}
    for module, path in modules.items():
        named = set()
        for node in imported_with_the_module(ast.parse(path.read_text(encoding="utf-8")).body):
            if isinstance(node, ast.Import):
                named.update(alias.name for alias in node.names)
            else:
                # What is imported from a package is a module of it, or something that the package itself holds.
                places = (f"{node.module}.{alias.name}" for alias in node.names)
                named.update(place if place in modules else node.module for place in places)
        graph[module] = named & modules.keys() - {module}
    return graph


def cycle_in(graph):
    """Modules that import each other in a circle, the first one again at the end; nothing where there is none."""
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        return error.args[1]
    return []


def test_no_imports_go_in_a_circle(repository):
    graph = graph_of_imports(repository, PACKAGES)
    assert len(graph) > 100
    assert graph["vestibule.region"] == {"vestibule.head", "vestibule.volume"}
    assert cycle_in(graph) == []


def test_a_circle_of_imports_is_seen(tmp_path):
    (tmp_path / "house").mkdir()
    (tmp_path / "house" / "__init__.py").write_text("")
    (tmp_path / "house" / "a.py").write_text("from house.b import x\n")
    (tmp_path / "house" / "b.py").write_text("from house import a\nx = 1\n")
    assert set(cycle_in(graph_of_imports(tmp_path, ["house"]))) == {"house.a", "house.b"}
    (tmp_path / "house" / "b.py").write_text("def f():\n    from house import a\n")
    assert cycle_in(graph_of_imports(tmp_path, ["house"])) == []


def test_no_file_is_too_long_to_read(repository):
    paths = [path for folder in FOLDERS_OF_CODE for path in (repository / folder).rglob("*.py")]
    lengths = {str(path.relative_to(repository)): len(path.read_text(encoding="utf-8").splitlines()) for path in paths}
    assert lengths, "no files found"
    assert {name: length for name, length in lengths.items() if length > MOST_LINES} == {}


@pytest.mark.parametrize("package", PACKAGES)
def test_type_hints_are_told_to_be_there(repository, package):
    data = tomllib.loads((repository / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    assert (repository / package / "py.typed").is_file()
    assert data[package] == ["py.typed"]


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


LIBRARIES = ("nnunetv2", "monai", "lightning_fabric")
"""Each takes seconds to import, which every job of a run pays anew."""
WITHOUT_ANY = (
    "training.runner",
    "training.harmonisers.singan",
    "training.stages.phantom",
    "training.stages.prepare",
    "training.stages.harmoniser",
    "training.stages.transfer",
    "training.stages.synthesis",
    "training.stages.augment",
    "training.stages.postprocessing",
    "training.stages.export",
)


@pytest.mark.parametrize(
    ("modules", "used"),
    [
        (WITHOUT_ANY, ()),
        (("training.stages.cyclegan", "training.stages.pix2pix"), ("monai", "lightning_fabric")),
        (("training.stages.segmenter", "training.stages.self_training"), ("nnunetv2",)),
    ],
)
def test_stages_import_only_the_slow_libraries_that_they_use(modules, used):
    code = f"import sys, {', '.join(modules)}\nprint(*(name for name in {LIBRARIES!r} if name in sys.modules))"
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr
    assert sorted(finished.stdout.split()) == sorted(used)


def test_python_m_runs_the_command(repository):
    command = [sys.executable, "-m", "vestibule", "--version"]
    finished = subprocess.run(command, capture_output=True, text=True, cwd=repository)
    assert (finished.returncode, finished.stderr) == (0, "")
    assert finished.stdout.startswith("vestibule, version ")
