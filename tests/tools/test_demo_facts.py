"""The demo learns arms and folders from the run, whatever they are."""

import importlib.util
import subprocess
import sys

import pytest

from vestibule.errors import InputError
from vestibule.files import write_json


@pytest.fixture
def demo_facts(repository):
    spec = importlib.util.spec_from_file_location("demo_facts", repository / "tools" / "demo_facts.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_folders_are_the_editions_and_arms_the_bundles(demo_facts, tmp_path):
    manifest = {"edition": 2023, "arms": ["one", "other"], "default_arm": "other"}
    write_json(tmp_path / "export" / "bundle" / "manifest.json", manifest)
    assert demo_facts.facts(tmp_path) == [
        f"{tmp_path}/export/bundle",
        f"{tmp_path}/phantom/data/validation",
        f"{tmp_path}/phantom/data/references/validation",
        "other",
        "one",
        "other",
    ]


def test_a_run_that_has_not_ended_is_named(demo_facts, tmp_path):
    with pytest.raises(InputError, match="no bundle here"):
        demo_facts.facts(tmp_path)


def test_an_error_ends_the_script(repository, tmp_path):
    command = [sys.executable, "tools/demo_facts.py", str(tmp_path)]
    ended = subprocess.run(command, cwd=repository, env={"PYTHONPATH": str(repository)}, capture_output=True, text=True)
    assert ended.returncode == 1
    assert "no bundle here" in ended.stderr
