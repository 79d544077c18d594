"""A judge behind an endpoint on this machine: what is sent, what is kept, what goes wrong."""

import socket
from pathlib import Path

import pytest

from rlhf_compare.evaluation.endpoint import Endpoint, EndpointError
from rlhf_compare.evaluation.pair_judge import Duel, PairJudge, letter
from tests.judge_server import JudgeServer, prefers_the_first

_SECRET = "sk-very-secret-0123"
_HI = [{"role": "user", "content": "Prompt:\nx\n\nAnswer A:\n1\n\nAnswer B:\n22\n\nWhich answer"}]


def endpoint(url: str, waited: list[float] | None = None, **more: object) -> Endpoint:
    given = {"key_variable": "JUDGE_KEY", "timeout": 5.0, **more}
    sleep = (waited if waited is not None else []).append
    return Endpoint(url=url, model="m", sleep=sleep, **given)  # type: ignore[arg-type]


def test_what_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUDGE_KEY", _SECRET)
    with JudgeServer() as server:
        assert endpoint(server.url).ask(_HI).startswith("Answer: B.")
        (sent,) = server.requests
    assert sent["path"] == "/v1/chat/completions" and sent["key"] == f"Bearer {_SECRET}"
    assert (sent["model"], sent["temperature"], sent["messages"]) == ("m", 0, _HI)


def test_without_a_key_none_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JUDGE_KEY", raising=False)
    with JudgeServer() as server:
        endpoint(server.url).ask(_HI)
        monkeypatch.setenv("JUDGE_KEY", _SECRET)
        endpoint(server.url, key_variable=None).ask(_HI)
        assert [sent["key"] for sent in server.requests] == [None, None]


def test_a_proxy_of_the_environment_is_not_asked_for_this_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with JudgeServer() as server:
        assert endpoint(server.url).ask(_HI)


def test_busy_servers_are_asked_again_and_may_say_when() -> None:
    waited: list[float] = []
    with JudgeServer(codes=[429, 503, 500]) as server:
        assert endpoint(server.url, waited).ask(_HI)
        assert waited == [1.0, 2.0, 4.0] and len(server.requests) == 4
        server.codes, server.headers = [429], {"Retry-After": "7"}
        assert endpoint(server.url, waited).ask(_HI) and waited[3:] == [7.0]


@pytest.mark.parametrize(
    ("codes", "headers", "asked"),
    [([503] * 9, {}, 4), ([429] * 9, {"Retry-After": "3600"}, 1), ([401], {}, 1), ([302], {}, 1)],
)
def test_a_server_that_refuses_is_named_and_the_key_is_not(
    monkeypatch: pytest.MonkeyPatch, codes: list[int], headers: dict[str, str], asked: int
) -> None:
    """The server repeats the key; a redirect is not followed with it."""
    monkeypatch.setenv("JUDGE_KEY", _SECRET)
    with JudgeServer(codes=codes) as server:
        server.headers = {"Location": f"{server.url}/elsewhere", **headers}
        with pytest.raises(EndpointError) as caught:
            endpoint(server.url).ask(_HI)
        assert len(server.requests) == asked
        said = str(caught.value)
    assert f"HTTP {codes[0]}: busy; your key Bearer ***" in said and _SECRET not in said
    assert "m at 127.0.0.1" in said and "judge_model and JUDGE_KEY" in said
    assert caught.value.__cause__ is None and caught.value.__suppress_context__


def test_nobody_there() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    waited: list[float] = []
    with pytest.raises(EndpointError, match="did not answer"):
        endpoint(f"http://127.0.0.1:{port}/v1", waited).ask(_HI)
    assert waited == [1.0, 2.0, 4.0]


@pytest.mark.parametrize("body", [b"<html>", b"{}", b'{"choices": [{"message": {}}]}'])
def test_what_is_no_chat_model(body: bytes) -> None:
    with JudgeServer() as server:
        server.body = body
        with pytest.raises(EndpointError, match="no answer of a chat model"):
            endpoint(server.url).ask(_HI)


def test_a_key_is_not_sent_unencrypted_to_another_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUDGE_KEY", _SECRET)
    with pytest.raises(EndpointError, match="not encrypted, so JUDGE_KEY is not sent") as caught:
        endpoint("http://judge.example/v1").ask(_HI)
    assert _SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("reply", "found"),
    [("A", "A"), (" b.\nbecause", "B"), ("**C**", "C"), ("Answer: A", "A"),
     ("<think>B? no\nA</think>\n\nA", "A"),
     ("A better answer is B", None), ("", None), ("D", None), ("Both are good.\nA", None)],
)  # fmt: skip
def test_the_letter_of_a_reply(reply: str, found: str | None) -> None:
    assert letter(reply) == found


# --- both orders

LONG_SHORT = Duel("p1", "a long answer", "short")
SHORT_LONG = Duel("p2", "short", "a long answer")
EVEN = Duel("p3", "12345", "54321")
SAME = Duel("p4", "same", "same")


def test_both_orders_are_asked_and_equal_answers_are_not(tmp_path: Path) -> None:
    with JudgeServer() as server:
        judge = PairJudge(endpoint(server.url), tmp_path)
        found = judge.judge([LONG_SHORT, SHORT_LONG, None, EVEN, SAME])
        assert found.asked == len(server.requests) == 6 and found.unreadable == 0
    assert found.opinion.share == [1.0, 0.0, None, 0.5, 0.5]
    assert found.opinion.ties == [0.0, 0.0, None, 1.0, 1.0]
    assert found.opinion.consistent == [1.0, 1.0, None, 1.0, None]


def test_a_judge_of_position_is_unmasked(tmp_path: Path) -> None:
    """It says A whatever A is: every pair is a draw, and no pair is judged alike twice."""
    with JudgeServer(prefers_the_first) as server:
        found = PairJudge(endpoint(server.url), tmp_path).judge([LONG_SHORT, SHORT_LONG]).opinion
    assert found.share == [0.5, 0.5] and found.consistent == [0.0, 0.0]


def test_no_question_is_asked_twice_even_by_another_process(tmp_path: Path) -> None:
    with JudgeServer() as server:
        first = PairJudge(endpoint(server.url), tmp_path).judge([LONG_SHORT])
        (file,) = tmp_path.iterdir()
        file.write_bytes(file.read_bytes() + b'{"question": "half a li')  # a killed process
        again = PairJudge(endpoint(server.url), tmp_path).judge([LONG_SHORT, LONG_SHORT])
        assert len(server.requests) == 2 and again.opinion.share == first.opinion.share * 2
        turned = PairJudge(endpoint(server.url), tmp_path).judge([SHORT_LONG])  # another prompt
        assert len(server.requests) == 4 and turned.opinion.share == [0.0]
        PairJudge(endpoint(server.url), tmp_path).judge([LONG_SHORT, SHORT_LONG])
        assert len(server.requests) == 4


def test_what_was_answered_before_a_failure_is_kept(tmp_path: Path) -> None:
    with JudgeServer() as server:
        judge = PairJudge(endpoint(server.url), tmp_path)
        judge.judge([LONG_SHORT])
        server.codes = [401] * 50
        with pytest.raises(EndpointError):
            judge.judge([LONG_SHORT, EVEN])
        server.codes, server.requests = [], []
        assert PairJudge(endpoint(server.url), tmp_path).judge([LONG_SHORT, EVEN])
        assert {sent["messages"][1]["content"][8:10] for sent in server.requests} == {"p3"}


def test_a_reply_without_a_letter_counts_nowhere(tmp_path: Path) -> None:
    def mind(prompt: str, a: str, b: str) -> str:
        return "I cannot say" if prompt == "p1" and a < b else "B"

    with JudgeServer(mind) as server:
        found = PairJudge(endpoint(server.url), tmp_path).judge([LONG_SHORT, SHORT_LONG])
    assert (found.asked, found.unreadable) == (4, 1)
    assert found.opinion.share == [None, 0.5] and found.opinion.ties == [None, 1.0]


def test_a_model_that_names_no_letter_is_refused(tmp_path: Path) -> None:
    with JudgeServer(lambda *_: "As a language model ...") as server:
        judge = PairJudge(endpoint(server.url), tmp_path)
        with pytest.raises(EndpointError, match="no letter in 2 of 2 replies, for instance 'As a"):
            judge.judge([LONG_SHORT])
