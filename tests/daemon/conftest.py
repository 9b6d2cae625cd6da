import pytest
from peers.house import open_test_house

pytest.register_assert_rewrite("peers.attacks")


@pytest.fixture
def desk(store_url, tmp_path):
    """A house, on each of the databases that one can be on."""
    with open_test_house(tmp_path, store={"url": store_url}) as house:
        yield house
