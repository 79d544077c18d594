"""A stand-in for a W&B server on this machine, that can begin to misbehave at any time.

It keeps a run's history as W&B does: lines at offsets, later ones over earlier ones.
"""

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
        self.lines: dict[str, dict[int, str]] = {}  # run id -> offset -> a row, as JSON
        self.summaries: dict[str, str] = {}
        self.released = threading.Event()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def history(self, run_id: str) -> list[dict[str, Any]]:
        """The rows of a run, without W&B's own times."""
        rows = [json.loads(line) for _, line in sorted(self.lines.get(run_id, {}).items())]
        return [
            {k: v for k, v in row.items() if k not in ("_runtime", "_timestamp")} for row in rows
        ]

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
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        if self.path.endswith("/file_stream"):
            self._keep(self.path.split("/")[-2], json.loads(body).get("files", {}))
        self._answer(200, self._graphql(body) if self.path == "/graphql" else {})

    do_GET = do_PUT = do_POST  # noqa: N815

    def log_message(self, *_: object) -> None:
        """Nothing on the screen."""

    def _keep(self, run_id: str, files: dict[str, Any]) -> None:
        history = files.get("wandb-history.jsonl", {"offset": 0, "content": []})
        lines = self.server.lines.setdefault(run_id, {})
        lines.update(enumerate(history["content"], history["offset"]))
        for content in files.get("wandb-summary.json", {}).get("content", []):
            self.server.summaries[run_id] = content

    def _bucket(self, run_id: str) -> dict[str, Any] | None:
        """What W&B tells a run that goes on."""
        lines = self.server.lines.get(run_id)
        if lines is None:
            return None
        return {"id": "r", "name": run_id, "displayName": run_id, "config": "{}", "notes": None,
                "summaryMetrics": self.server.summaries.get(run_id, "{}"), "tags": [],
                "logLineCount": 0, "historyLineCount": len(lines), "eventsLineCount": 0,
                "historyTail": json.dumps([lines[max(lines)]] if lines else []),
                "eventsTail": "[]", "wandbConfig": '{"t": 1}'}  # fmt: skip

    def _graphql(self, body: bytes) -> dict[str, Any]:
        asked = json.loads(body)
        names = asked.get("variables") or {}
        if "RunResumeStatus" in asked["query"]:
            bucket = self._bucket(names["name"])
            model = {"id": "p", "name": names["project"], "entity": {"id": "e", "name": "me"}}
            return {"data": {"model": {**model, "bucket": bucket}}}
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
