"""Shows the built book on http://127.0.0.1:8000, to this machine only. `make serve` runs this.

`python -m http.server`, but with the two headers without which a browser gives a page no threads,
and with room for all that a page asks for at once.
"""

from __future__ import annotations

import sys
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

HTML = Path(__file__).resolve().parent.parent / "_build" / "html"


class Handler(SimpleHTTPRequestHandler):
    """Files, isolated from pages of other origins."""

    def end_headers(self) -> None:
        self.send_header("Cross-Origin-Opener-Policy", "same-origin")
        self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
        super().end_headers()


class Server(ThreadingHTTPServer):
    """A thread for each request; with the usual queue of 5, a page of many files loses some."""

    request_queue_size = 128


def main(port: int = 8000) -> int:
    """Serves until Ctrl-C. Returns 1 when the port is taken."""
    try:
        server = Server(("127.0.0.1", port), partial(Handler, directory=str(HTML)))
    except OSError as error:
        print(f"Port {port} cannot be used ({error.strerror}).", file=sys.stderr)
        print(f"Choose another: .venv/bin/python scripts/serve.py {port + 1}", file=sys.stderr)
        return 1
    print(f"The book is on http://127.0.0.1:{port}/ (Ctrl-C ends it).", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        print()
    return 0


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
