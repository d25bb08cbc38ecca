from two_convolutions.settings import ENTRY

from pdray.testing.networks import check_network


def test_it_keeps_every_promise_of_a_network():
    check_network(ENTRY)
