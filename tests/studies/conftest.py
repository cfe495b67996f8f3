"""How the tests of the studies reach them."""

import importlib

import pytest


@pytest.fixture
def study(repository, monkeypatch):
    """A module of studies/ by its name, as `python studies/...` finds it."""
    monkeypatch.syspath_prepend(repository / "studies")
    return importlib.import_module
