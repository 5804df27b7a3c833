"""A stack of two small parts under the real supervisor: `two_parts.py HOME FIRST_PORT SECOND_PORT [MODE]`.

MODE "stubborn": the second part ignores SIGTERM. MODE "broken": it cannot start. Prints what people would see.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from rich.console import Console

from app.local.display import StackDisplay
from app.local.parts import Part, PartPort, ProcessPart
from app.local.stack import Stack
from app.model.errors import StreamsError

SERVER = """
import http.server, signal, sys
if {stubborn}: signal.signal(signal.SIGTERM, signal.SIG_IGN)
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers()
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


def part(home: Path, name: str, port: int, code: str) -> Part:
    return ProcessPart(
        name,
        [sys.executable, "-c", code, str(port)],
        ports=[PartPort(port, f"STREAMS_{name.upper()}_PORT")],
        ready_path="/ready",
        environment=dict(os.environ),
        log_file=home / "logs" / f"{name}.log",
    )


def main() -> int:
    home, first, second = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    mode = sys.argv[4] if len(sys.argv) > 4 else ""
    broken = "raise SystemExit('The moon is not in the right place.')"
    steps = [
        [part(home, "first", first, SERVER.format(stubborn=False))],
        [part(home, "second", second, broken if mode == "broken" else SERVER.format(stubborn=mode == "stubborn"))],
    ]
    with StackDisplay(Console(width=1000)) as display:
        address = f"http://127.0.0.1:{second}"
        stack = Stack(steps, display, address=address, home=home, stop_seconds=0.5 if mode == "stubborn" else 20)
        try:
            stack.run(lambda: display.notice("all ready"))
        except StreamsError as error:
            display.notice(error.message)
            return error.exit_code
    display.notice("all stopped")
    return 0


if __name__ == "__main__":
    sys.exit(main())
