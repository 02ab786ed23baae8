"""What every test gets: a cache of the test run's own, and TensorFlow as it was before the test."""

import os
import sys

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


@pytest.fixture(scope="session", autouse=True)
def cache_folder(tmp_path_factory):
    """One cache for all tests, so that each phantom is written once; nothing is left in the user's own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MAMMO_TF_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True)
def op_determinism_stays_off():
    """The command line switches it on for its process; the next test must not see that."""
    yield
    if "tensorflow" in sys.modules:
        from tensorflow.python.framework import config

        config.disable_op_determinism()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Processes share the tests out by module, where no test asks for another group."""
    for item in items:
        if not item.get_closest_marker("xdist_group"):
            item.add_marker(pytest.mark.xdist_group(item.nodeid.partition("::")[0]))
