import pytest

# its assertions are the promises, so they must say what they saw
pytest.register_assert_rewrite("tests.backends.contract")
