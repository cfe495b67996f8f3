"""What is made of pip-audit's answer, and of the locked requirements."""

import importlib.util

import pytest


@pytest.fixture(scope="module")
def audit(repository):
    spec = importlib.util.spec_from_file_location("audit", repository / "tools" / "audit.py")
    module = importlib.util.module_from_spec(spec)
    import sys

    sys.modules["audit"] = module
    spec.loader.exec_module(module)
    return module


def test_package_without_data_is_not_taken_for_a_safe_one(audit):
    document = {
        "dependencies": [
            {"name": "a", "version": "1", "vulns": []},
            {"name": "b", "version": "2", "vulns": [{"id": "PYSEC-1"}, {"id": "CVE-2"}]},
            {"name": "c", "skip_reason": "not found"},
        ]
    }
    found = audit.judge(document)
    assert found == audit.Audit(("b 2: PYSEC-1, CVE-2",), audited=2, unknown=1)


def test_every_package_of_an_image_is_in_its_list_once(audit):
    for names in audit.IMAGES.values():
        lines = audit.locked_text(names).splitlines()
        packages = [line.partition("==")[0] for line in lines]
        assert len(packages) == len(set(packages))
        assert all("==" in line for line in lines)
    assert "torch" in [line.partition("==")[0] for line in audit.locked_text(audit.IMAGES["inference"]).splitlines()]
