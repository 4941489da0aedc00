"""Find ports to listen on."""

import socket


def free_port(preferred: int = 0) -> int:
    """Return a port on the loopback interface that no process listens on: the preferred one if it is free."""
    with socket.socket() as listener:
        # As servers do: a connection in TIME_WAIT does not make a port busy.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", preferred))
        except OSError:
            if not preferred:
                raise
            return free_port()
        port: int = listener.getsockname()[1]
        return port
