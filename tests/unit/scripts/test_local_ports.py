"""Ports are taken only where nobody listens."""

import socket

from local_ports import free_port


def test_a_free_port_is_given_as_wanted() -> None:
    wanted = free_port()
    assert free_port(wanted) == wanted


def test_a_taken_port_is_replaced_by_another() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert free_port(port) != port


def test_a_port_taken_on_all_interfaces_is_taken_here_too() -> None:
    with socket.create_server(("0.0.0.0", 0)) as taken:
        port = taken.getsockname()[1]
        assert free_port(port) != port
