"""Runs the page's server until it is stopped."""

import secrets
import socket
import webbrowser
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import uvicorn

from samereg.errors import UsageError
from samereg.page.desk import Desk
from samereg.page.server import make_app

LOOPBACK = "127.0.0.1"

TOKEN_BYTES = 18


def serve(desk: Desk, *, host: str, port: int, open_browser: bool, told: Callable[[str], None]) -> None:
    """Serve a desk until the process is told to stop.

    Args:
        desk: two scans, not opened yet.
        host: address to listen on; `LOOPBACK` unless the user says otherwise.
        port: to listen on; 0 takes a free one.
        open_browser: whether to open the page in the user's browser.
        told: called with the page's address once the server listens.

    Raises:
        UsageError: the address cannot be listened on.
    """
    token = secrets.token_urlsafe(TOKEN_BYTES)
    with _listening(host, port) as listener:
        address = f"http://{_in_address(host)}:{listener.getsockname()[1]}/{token}/"
        hosts = ("127.0.0.1", "localhost", host)
        app = make_app(desk, token=token, hosts=hosts)
        config = uvicorn.Config(app, log_level="warning", access_log=False, lifespan="off")
        told(address)
        desk.begin()
        if open_browser:
            webbrowser.open(address)
        try:
            uvicorn.Server(config).run(sockets=[listener])
        finally:
            desk.close()


@contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen()
        yield listener
    except OSError as error:
        raise UsageError(f"Got --host {host} --port {port}, where no server can listen: {error.strerror}.") from error
    finally:
        listener.close()


def _in_address(host: str) -> str:
    return f"[{host}]" if ":" in host else host
