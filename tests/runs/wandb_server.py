"""A stand-in for a W&B server on this machine, that can begin to misbehave at any time."""

import gzip
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class WandbServer(ThreadingHTTPServer):
    """Answers what a run asks; ``mood`` may change while it runs.

    ok    answers
    hang  takes the request and never answers
    500, 401  answers every request with this code
    """

    daemon_threads = True

    def __init__(self, mood: str = "ok") -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.mood, self.requests = mood, 0
        self.rows: list[dict[str, Any]] = []
        self.released = threading.Event()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def stop(self) -> None:
        self.released.set()
        self.shutdown()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: WandbServer

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.requests += 1
        if self.server.mood == "hang":
            self.server.released.wait(120)
            return
        if self.server.mood != "ok":
            self._answer(int(self.server.mood), {})
            return
        self._answer(200, self._graphql(body) if self.path == "/graphql" else {})

    do_GET = do_PUT = do_POST  # noqa: N815

    def log_message(self, *_: object) -> None:
        """Nothing on the screen."""

    def _graphql(self, body: bytes) -> dict[str, Any]:
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        asked = json.loads(body)
        names = asked.get("variables") or {}
        if "upsertBucket" in asked["query"]:
            project = {"id": "p", "name": names["project"], "entity": {"id": "e", "name": "me"}}
            run = {"id": "r", "name": names["name"], "displayName": names["name"], "config": "{}",
                   "description": "", "sweepName": None, "historyLineCount": 0,
                   "project": project}  # fmt: skip
            return {"data": {"upsertBucket": {"bucket": run, "inserted": True}}}
        if "createRunFiles" in asked["query"]:
            return {"data": {"createRunFiles": {"runID": "r", "uploadHeaders": [], "files": []}}}
        return {"data": {}}

    def _answer(self, code: int, content: dict[str, Any]) -> None:
        data = json.dumps(content).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
