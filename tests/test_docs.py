"""The documentation against the project: links lead somewhere, commands exist, every configuration key is described."""

import contextlib
import importlib
import importlib.util
import re
import shlex
import sys
from dataclasses import dataclass, fields

import click
import pytest
import yaml

from training.config import RunConfig
from vestibule.cli import cli

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
KEY_ROW = re.compile(r"^\| `([a-z0-9_.]+)` \|", re.MULTILINE)
MEMBER = re.compile(r"^::: ([\w.]+)$(?:\n    options:\n      members: \[(.*)\])?", re.MULTILINE)
DOTTED = re.compile(r"`((?:vestibule|contract|training|evaluation)(?:\.\w+)+)[`(]")
OWN_PATH = re.compile(r"`((?:vestibule|contract|training|evaluation|studies|benchmarks|configs|tools|tests)/[\w/.]*)`")
MACHINE_PATH = re.compile(r"(?<![\w.])/(?:home|root|Users|work|mnt)/|\b[A-Z]:\\")
SCRIPTS = ("build.sh", "test.sh", "export.sh", "process.py")


@pytest.fixture(scope="module")
def reference(repository):
    """The script that writes the generated parts of pages, as a module."""
    spec = importlib.util.spec_from_file_location("reference", repository / "tools" / "reference.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["reference"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["reference"]


def pages(repository):
    top = [repository / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")]
    return [*top, *sorted((repository / "docs").rglob("*.md"))]


def code_lines(text):
    """Lines of all fenced code, continued lines joined."""
    for _, code in FENCE.findall(text):
        yield from code.replace("\\\n", " ").splitlines()


def commands(repository, names):
    """Every documented command line that calls one of `names`, as (page, words)."""
    for page in pages(repository):
        for line in code_lines(page.read_text(encoding="utf-8")):
            words = line.split()
            if words and words[0].removeprefix("./") in names:
                yield page.name, shlex.split(line, comments=True)
            elif len(words) > 1 and words[0] == "python" and words[1] in names:
                yield page.name, shlex.split(line, comments=True)[1:]


def parse(words):
    """Parse a command line as click would, down to its last command, and run nothing."""
    command, name = cli, "vestibule"
    context = click.Context(cli, info_name=name)
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        name, words = words[0], words[1:]
        child = command.get_command(context, name)
        if child is None:
            raise click.UsageError(f"no command {name!r}")
        command, context = child, click.Context(child, parent=context, info_name=name)
    with contextlib.suppress(click.exceptions.Exit):
        command.make_context(name, list(words), parent=context.parent)


def slug(heading):
    """The anchor of a heading on the usual forges."""
    kept = re.sub(r"[^\w\- ]", "", heading.strip().lower())
    return kept.replace(" ", "-")


def anchors(page):
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    return {slug(heading) for heading in re.findall(r"^#+ (.*)$", text, re.MULTILINE)}


def test_every_relative_link_leads_to_a_file_and_its_heading(repository):
    broken, seen = [], 0
    for page in pages(repository):
        for link in LINK.findall(FENCE.sub("", page.read_text(encoding="utf-8"))):
            if "://" in link or link.startswith("mailto:"):
                continue
            seen += 1
            name, _, anchor = link.partition("#")
            target = (page.parent / name).resolve() if name else page
            if not target.exists() or (anchor and anchor not in anchors(target)):
                broken.append(f"{page.name}: {link}")
    assert seen > 10
    assert not broken


def test_every_documented_command_line_is_one_that_vestibule_takes(repository, capsys):
    wrong, seen = [], set()
    for page, words in commands(repository, {"vestibule"}):
        seen.add(words[1] if len(words) > 1 else "")
        try:
            parse(words[1:])
        except click.ClickException as error:
            wrong.append(f"{page}: {shlex.join(words)}: {error.format_message()}")
    assert {"predict", "evaluate", "train", "table1", "pictures", "weights", "check", "phantom"} <= seen
    assert not wrong


@pytest.mark.parametrize("line", ["train everything", "predict in out --wieghts w", "evaluate a b", "paint"])
def test_a_wrong_command_line_would_be_found(line):
    with pytest.raises(click.UsageError):
        parse(line.split())


def test_the_demo_calls_commands_as_they_are(repository):
    script = (repository / "tools" / "demo.sh").read_text(encoding="utf-8").replace("\\\n", " ")
    lines = re.findall(r"^\s*run ([^({].*)$", script, re.MULTILINE)
    assert len(lines) >= 4
    for line in lines:
        parse(shlex.split(line))


def test_every_documented_option_of_a_script_is_one_it_names(repository):
    seen = set()
    for page, (name, *words) in commands(repository, set(SCRIPTS)):
        text = (repository / name).read_text(encoding="utf-8")
        options = [word.partition("=")[0] for word in words if word.startswith("--")]
        assert [option for option in options if option not in text] == [], f"{page}: {name} {words}"
        seen.add(name.removeprefix("./"))
    assert {"build.sh", "test.sh", "export.sh"} <= seen


def test_readme_names_the_two_targets_and_documents_only_existing_ones(repository):
    makefile = (repository / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^(\w+):(?!=)", makefile, re.MULTILINE))
    text = (repository / "README.md").read_text(encoding="utf-8")
    blocks = {line.strip() for line in code_lines(text)}
    assert {"make demo", "make test"} <= blocks
    named = {
        name for page in pages(repository) for name in re.findall(r"`make (\w+)", page.read_text(encoding="utf-8"))
    }
    assert named
    assert named <= targets


def test_headings_that_messages_point_to_are_there(repository):
    assert "'The right torch' in README.md" in (repository / "Makefile").read_text(encoding="utf-8")
    assert "the-right-torch" in anchors(repository / "README.md")


def test_no_page_holds_a_path_of_one_machine(repository):
    found = [f"{page.name}: {match}" for page in pages(repository) for match in MACHINE_PATH.findall(page.read_text())]
    assert not found


def test_every_recipe_for_an_extension_links_its_test(repository):
    text = (repository / "CONTRIBUTING.md").read_text(encoding="utf-8")
    tests = sorted((repository / "tests" / "scenarios").glob("test_*.py"))
    assert len(tests) == text.count("\nIts test: [")
    assert [path.name for path in tests if f"(tests/scenarios/{path.name})" not in text] == []


def test_every_page_of_docs_is_in_the_navigation_of_the_site(repository):
    navigation = (repository / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:")[2]
    named = set(re.findall(r"[\w/-]+\.md", navigation))
    docs = repository / "docs"
    assert named == {page.relative_to(docs).as_posix() for page in docs.rglob("*.md")}


def test_every_name_of_the_python_reference_can_be_imported(repository):
    found = MEMBER.findall((repository / "docs" / "reference" / "api.md").read_text(encoding="utf-8"))
    assert len(found) > 5
    for path, members in found:
        if members:
            module = importlib.import_module(path)
            assert [name for name in members.split(", ") if not hasattr(module, name)] == [], path
        else:
            module, _, name = path.rpartition(".")
            assert hasattr(importlib.import_module(module), name), path


def resolves(path):
    """Whether a dotted name leads to a module or to something in one."""
    parts = path.split(".")
    for length in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        for name in parts[length:]:
            found = getattr(found, name, None)
        return found is not None
    return False


def pages_of_today(repository):
    """All pages but those that keep what was measured at earlier commits."""
    return [page for page in pages(repository) if page.parent.name != "results"]


def test_every_python_name_in_the_text_is_there(repository):
    names = {name for page in pages_of_today(repository) for name in DOTTED.findall(page.read_text(encoding="utf-8"))}
    assert len(names) > 5
    assert [name for name in sorted(names) if not resolves(name)] == []


def test_every_file_and_folder_of_the_project_in_the_text_is_there(repository):
    named = {path for page in pages_of_today(repository) for path in OWN_PATH.findall(page.read_text(encoding="utf-8"))}
    # A configuration of one's own, which the pages tell how to make.
    named -= {"configs/mine.yaml"}
    assert len(named) > 20
    assert [path for path in sorted(named) if not (repository / path).exists()] == []


def keys_of(values, path=""):
    """Dotted keys that a configuration file sets."""
    for name, value in values.items():
        if isinstance(value, dict):
            yield from keys_of(value, f"{path}{name}.")
        else:
            yield f"{path}{name}"


def test_the_reference_tells_every_key_that_the_configurations_set(repository, reference):
    told = KEY_ROW.findall(reference.configuration_reference())
    set_anywhere = set()
    for path in (repository / "configs").glob("*.yaml"):
        set_anywhere |= set(keys_of(yaml.safe_load(path.read_text(encoding="utf-8"))))
    assert len(set_anywhere) > 50
    assert set_anywhere <= set(told)


def test_every_configuration_key_is_described_below_its_field(reference):
    silent = []
    for where, kind, _ in reference.walk_sections(RunConfig):
        described = reference.field_docstrings(kind)
        for key in fields(kind):
            if key.name not in described and reference.section_of(kind, key.name) is None:
                silent.append(f"{where}.{key.name}")
    assert not silent


def test_a_key_without_a_description_would_be_found(reference):
    assert reference.field_docstrings(Described) == {"told": "What it is,\nin two lines."}


@dataclass
class Described:
    """Two keys, one of them told."""

    told: int = 1
    """What it is,
    in two lines."""
    silent: int = 2


def test_the_reference_tells_every_option_of_a_command_with_its_default(reference):
    text = reference.commands_reference()
    assert "## vestibule predict\n" in text
    assert "### vestibule train prepare\n" in text
    assert "| `--weights" in text
    assert "| `--config" in text
    row = next(line for line in text.splitlines() if line.startswith("| `--seed"))
    assert row.rstrip(" |").endswith("`0`")


def test_every_option_of_a_command_says_what_it_is_for(reference):
    silent = []
    for path, command, _ in reference.walk_commands(cli):
        for option in command.params:
            if isinstance(option, click.Option) and not option.hidden and not option.help:
                silent.append(f"{' '.join(path)} {option.opts[0]}")
    assert not silent


def test_generated_parts_take_the_place_of_their_marker_alone(reference, monkeypatch):
    monkeypatch.setitem(reference.GENERATORS, "commands", lambda: "## vestibule")
    page = "before\n\n<!-- generated: commands -->\n\nafter <!-- generated: commands -->\n"
    assert reference.expand(page) == "before\n\n## vestibule\n\nafter <!-- generated: commands -->\n"
