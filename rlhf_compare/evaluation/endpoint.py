"""A chat model behind an OpenAI-compatible endpoint: one question in, one text out."""

import json
import os
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http.client import HTTPException
from typing import Any
from urllib.parse import urlsplit

from rlhf_compare.errors import StageFailedError

_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_TRIES = 4
_LONGEST_WAIT = 60.0  # seconds; a server may ask for more, and then it is not asked again
_SHOWN = 200  # characters of a server's answer in an error
Messages = Sequence[Mapping[str, str]]


class EndpointError(StageFailedError):
    """The endpoint did not answer, or not as such an endpoint does; what it said before is kept."""


class _Stay(urllib.request.HTTPRedirectHandler):
    """A redirect would carry the key to another host."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """Where the judge is asked.

    Attributes:
        url: up to ``/v1``, as OpenAI's own clients take it.
        model: its name there.
        key_variable: the environment variable that holds the key; None, or one that is not set:
            none is sent. The key itself is read at each request and kept nowhere.
        timeout: seconds for one answer.
        sleep: waits between two tries.
    """

    url: str
    model: str
    key_variable: str | None
    timeout: float = 60.0
    sleep: Callable[[float], None] = field(default=time.sleep, repr=False)

    @property
    def words(self) -> str:
        """For people: which model, and where."""
        return f"{self.model} at {urlsplit(self.url).netloc}"

    def ask(self, messages: Messages) -> str:
        """The model's answer at temperature 0. Busy and failing servers are asked four times.

        Raises:
            EndpointError: names the address, what it said, and the way out. Never holds the key.
        """
        for attempt in range(_TRIES):
            try:
                return self._text(self._post(messages))
            except urllib.error.HTTPError as error:
                wait = _wait(attempt, error.headers.get("Retry-After"))
                final = error.code != 429 and error.code < 500
                said = f"HTTP {error.code}: {self._clean(error.read().decode(errors='replace'))}"
            except (OSError, HTTPException) as error:  # no connection, or none that held
                wait, final = _wait(attempt, None), False
                said = self._clean(str(getattr(error, "reason", error)) or type(error).__name__)
            if final or wait > _LONGEST_WAIT or attempt == _TRIES - 1:
                raise EndpointError(self._failed(said)) from None
            self.sleep(wait)
        raise AssertionError("the last try returns or raises")

    def _post(self, messages: Messages) -> bytes:
        base = self.url.rstrip("/")
        address = base if base.endswith("/chat/completions") else f"{base}/chat/completions"
        # no limit of tokens: a model that thinks first needs some, and servers name it differently
        body = {"model": self.model, "messages": list(messages), "temperature": 0}
        request = urllib.request.Request(
            address,
            data=json.dumps(body).encode(),
            headers={"Content-Type": "application/json", **self._authorization()},
        )
        # a proxy of the environment does not know this machine
        proxies = [urllib.request.ProxyHandler({})] if self._is_local else []
        with urllib.request.build_opener(_Stay, *proxies).open(
            request, timeout=self.timeout
        ) as got:
            answer: bytes = got.read()
        return answer

    @property
    def _is_local(self) -> bool:
        return urlsplit(self.url).hostname in _LOOPBACK

    @property
    def _key(self) -> str:
        return os.environ.get(self.key_variable, "").strip() if self.key_variable else ""

    def _authorization(self) -> dict[str, str]:
        if not self._key:
            return {}
        if urlsplit(self.url).scheme != "https" and not self._is_local:
            raise EndpointError(
                f"evaluation.judge_url: {self.url} is not encrypted, so {self.key_variable} is not "
                "sent there; use https, or set evaluation.judge_key_variable=null to ask without"
            )
        if not re.fullmatch(r"[!-~]+", self._key):
            raise EndpointError(f"{self.key_variable}: holds characters that no key has")
        return {"Authorization": f"Bearer {self._key}"}

    def _text(self, answer: bytes) -> str:
        try:
            content = json.loads(answer)["choices"][0]["message"]["content"]
        except (ValueError, KeyError, IndexError, TypeError):
            content = None
        if not isinstance(content, str):
            said = self._clean(answer.decode(errors="replace"))
            raise EndpointError(self._failed(f"no answer of a chat model: {said}"))
        return content

    def _failed(self, said: str) -> str:
        variable = f" and {self.key_variable}" if self.key_variable else ""
        return (
            f"evaluation.judge_url: {self.words} did not answer ({said}); check judge_url, "
            f"judge_model{variable}. What it said before is kept: the same command goes on"
        )

    def _clean(self, text: str) -> str:
        """One line of what a server said, which may repeat the key."""
        if self._key:
            text = text.replace(self._key, "***")
        return " ".join(text.split())[:_SHOWN]


def _wait(attempt: int, asked: str | None) -> float:
    """Seconds until the next try: what the server asks for, else 1, 2, 4."""
    try:
        return max(0.0, float(asked)) if asked is not None else 2.0**attempt
    except ValueError:  # a date
        return 2.0**attempt
