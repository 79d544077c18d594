"""A chat model on this machine, planted: what it prefers is known."""

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Mind = Callable[[str, str, str], str]  # prompt, answer A, answer B -> the reply


def prefers_the_first(*_: str) -> str:
    return "A"


def prefers_the_longer(_: str, a: str, b: str) -> str:
    return "C" if len(a) == len(b) else "**A**" if len(a) > len(b) else "Answer: B.\nIt says more."


class JudgeServer(ThreadingHTTPServer):
    """Answers as an OpenAI-compatible endpoint does; ``codes`` are given first, one a request."""

    daemon_threads = True

    def __init__(self, mind: Mind = prefers_the_longer, codes: list[int] | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.mind, self.codes = mind, list(codes or [])
        self.headers: dict[str, str] = {}  # of every answer
        self.body: bytes | None = None  # instead of an answer
        self.requests: list[dict[str, Any]] = []
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def __enter__(self) -> "JudgeServer":
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    server: JudgeServer

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        key = self.headers.get("Authorization")
        self.server.requests.append({"path": self.path, "key": key, **asked})
        if self.server.codes:
            self._answer(self.server.codes.pop(0), f"busy; your key {key}".encode())
            return
        text = asked["messages"][-1]["content"]
        prompt, _, rest = text.removeprefix("Prompt:\n").partition("\n\nAnswer A:\n")
        a, _, rest = rest.partition("\n\nAnswer B:\n")
        b = rest.rpartition("\n\nWhich answer")[0]
        reply = {"choices": [{"message": {"content": self.server.mind(prompt, a, b)}}]}
        body = self.server.body
        self._answer(200, json.dumps(reply).encode() if body is None else body)

    def log_message(self, *_: object) -> None:
        """Nothing on the screen."""

    def _answer(self, code: int, data: bytes) -> None:
        self.send_response(code)
        for name, value in self.server.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
