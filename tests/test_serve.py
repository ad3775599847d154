"""The development server: threads for the live page, and no connection lost."""

import contextlib
import http.client
import socket
import threading
from functools import partial

import pytest
import serve


@pytest.fixture
def server(tmp_path):
    (tmp_path / "index.html").write_text("the book")

    class Quiet(serve.Handler):
        def log_message(self, *_):
            pass

    with serve.Server(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path))) as server:
        yield server


def test_a_hundred_connections_wait_and_are_served(server):
    """With the usual queue the seventh was not accepted before somebody was served."""
    with contextlib.ExitStack() as stack:
        sockets = [
            stack.enter_context(socket.create_connection(server.server_address, timeout=5))
            for _ in range(100)
        ]
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        for connection in sockets:
            connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
        answers = [connection.makefile("rb").read() for connection in sockets]
        server.shutdown()
        thread.join()
    assert all(answer.endswith(b"the book") for answer in answers)


def test_pages_are_isolated_so_that_they_get_threads(server):
    thread = threading.Thread(target=server.handle_request)
    thread.start()
    connection = http.client.HTTPConnection(*server.server_address, timeout=5)
    connection.request("GET", "/")
    headers = dict(connection.getresponse().getheaders())
    connection.close()
    thread.join()
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert headers["Cross-Origin-Embedder-Policy"] == "require-corp"
