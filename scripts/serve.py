"""Shows the built book on http://127.0.0.1:8000, to this machine only. `make serve` runs this."""

from __future__ import annotations

import sys
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

HTML = Path(__file__).resolve().parent.parent / "_build" / "html"


def main(port: int = 8000) -> int:
    """Serves until Ctrl-C. Returns 1 when the port is taken."""
    handler = partial(SimpleHTTPRequestHandler, directory=str(HTML))
    try:
        server = ThreadingHTTPServer(("127.0.0.1", port), handler)
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
