"""How the tests are shared out to processes."""

import pytest


def test_tests_of_one_module_stay_in_one_process(request):
    """pytest-xdist 3.8 finds no groups under pytest 9.2, and says nothing: every fixture is then made twice."""
    if not hasattr(request.config, "workerinput") or not request.config.option.loadgroup:
        pytest.skip("needs -n 2 --dist loadgroup")
    assert request.node.nodeid.endswith("@tests/test_workers.py")
