"""Unit tests cannot reach the network, not even by mistake."""

import asyncio
import socket

import pytest
import pytest_socket


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_a_socket_to_the_network_is_refused(family: socket.AddressFamily) -> None:
    with pytest.raises(pytest_socket.SocketBlockedError):
        socket.socket(family)


async def test_a_connection_from_a_coroutine_is_refused() -> None:
    with pytest.raises(pytest_socket.SocketBlockedError):
        await asyncio.open_connection("127.0.0.1", 9)
