"""All boundaries: what would run or unpack what comes from outside is called nowhere in the source."""

import ast

import pytest

PACKAGES = ("vestibule", "contract", "training", "evaluation", "studies", "benchmarks", "tools", "process.py")
RUN_TEXT = {"eval", "exec", "compile", "__import__"}
OPEN_PICKLES = {
    "pickle.load",
    "pickle.loads",
    "pickle.Unpickler",
    "shelve.open",
    "marshal.loads",
    "joblib.load",
    "pandas.read_pickle",
    "torch.jit.load",
    "torch.hub.load",
    "yaml.unsafe_load",
    "yaml.full_load",
}
RUN_SHELLS = {"os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput", "pty.spawn"}
UNPACK_BLINDLY = {"extractall", "unpack_archive"}


@pytest.fixture(scope="module")
def calls(repository):
    """Every call of the project: where it is, what it calls, and its arguments by name."""
    found = []
    for package in PACKAGES:
        place = repository / package
        paths = sorted(place.rglob("*.py")) if place.is_dir() else [place]
        for path in paths:
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call):
                    where = f"{path.relative_to(repository)}:{node.lineno}"
                    named = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
                    found.append((where, ast.unparse(node.func), named))
    assert len(found) > 5_000
    return found


@pytest.mark.parametrize("names", [RUN_TEXT, OPEN_PICKLES, RUN_SHELLS], ids=["text", "pickles", "shells"])
def test_nothing_from_outside_is_run(calls, names):
    assert [(where, name) for where, name, _ in calls if name in names] == []


def test_archives_are_unpacked_member_by_member(calls):
    assert [where for where, name, _ in calls if name.rpartition(".")[2] in UNPACK_BLINDLY] == []


def test_programs_are_called_without_a_shell(calls):
    assert [where for where, _, named in calls if named.get("shell", "False") != "False"] == []


def test_torch_and_numpy_open_no_objects(calls):
    loads = [(where, named) for where, name, named in calls if name == "torch.load"]
    assert loads
    assert [where for where, named in loads if named.get("weights_only") != "True"] == []
    arrays = [(where, named) for where, name, named in calls if name in ("np.load", "numpy.load")]
    assert arrays
    assert [where for where, named in arrays if named.get("allow_pickle", "False") != "False"] == []


def test_yaml_is_read_by_the_strict_reader_alone(calls):
    readers = {where.partition(":")[0] for where, name, _ in calls if name in ("yaml.load", "yaml.load_all")}
    assert readers == set()


def test_templates_escape_what_they_are_given(calls):
    environments = [named for _, name, named in calls if name == "Environment"]
    assert environments
    assert all(named.get("autoescape") == "True" for named in environments)
