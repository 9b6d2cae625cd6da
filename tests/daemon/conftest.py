import pytest
from peers.house import open_test_house

pytest.register_assert_rewrite("peers.attacks")


@pytest.fixture
def desk(tmp_path):
    with open_test_house(tmp_path) as house:
        yield house
