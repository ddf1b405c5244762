"""Feedback models over HTTP: with a server that is slow, wrong, busy, down or chatty, scores and counts are right."""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.kernel.judge_server import Answer, JudgeServer

from tunelab.scoring.cache import Cache
from tunelab.scoring.endpoint import Endpoint
from tunelab.scoring.feedback import FeedbackScorer
from tunelab.scoring.prompts import RewardPrompt
from tunelab.scoring.replies import Reply, read
from tunelab.scoring.score import Case, Unreachable
from tunelab.spec.rewards import FeedbackReward

PROMPT = RewardPrompt("warm", 1, "Q: {{ prompt }} A: {{ completion }}")
CASES = [Case(f"question {n}", f"answer {n}") for n in range(8)]
GOOD = Answer()


def number(asked: dict[str, Any]) -> int:
    """Return the number of the case that a request is about."""
    return int(asked["messages"][0]["content"].split()[-1])


@pytest.fixture
def judge() -> Iterator[Callable[..., JudgeServer]]:
    servers: list[JudgeServer] = []

    def make(plan: Callable[[int, dict[str, Any]], Answer]) -> JudgeServer:
        servers.append(JudgeServer(plan))
        servers[-1].start()
        return servers[-1]

    yield make
    for server in servers:
        server.stop()


def scorer(server: JudgeServer, **keys: Any) -> FeedbackScorer:
    part = FeedbackReward(prompt="warm@1", model="judge", base_url=server.url, **{"timeout_s": 1.0, **keys})
    return FeedbackScorer(PROMPT, part, Endpoint(part, first_pause_s=0.02))


READ = {
    "plain": ('{"reasoning": "fine", "score": 0.7}', 0.7, "fine"),
    "score first": ('{"score": 1, "reasoning": "x"}', 1.0, "x"),
    "a text": ('{"score": "0.25"}', 0.25, ""),
    "fenced": ('```json\n{"reasoning": "a {b}", "score": 0.5}\n```', 0.5, "a {b}"),
    "prose around": ('Sure! Here it is: {"reasoning": "ok", "score": 0.5}. Anything else?', 0.5, "ok"),
    "said twice alike": ('{"score": 0.5} or again {"score": 0.5}', 0.5, ""),
    "cut after the score": ('{"score": 0.5, "reasoning": "it is', 0.5, ""),
    "no JSON": ("I would say. Score: 0.8", 0.8, ""),
    "in brackets": ("Rating: [[1]]", 1.0, ""),
}
UNREAD = {
    "empty": ("", "it is empty"),
    "a refusal": ("I cannot judge this.", "it has no score"),
    "cut before": ('{"reasoning": "it is quite', "it has no score"),
    "cut within": ('{"reasoning": "x", "score": 0.', "it has no score"),
    "two scores": ('{"score": 0.2} {"score": 0.9}', "it has 2 scores"),
    "another scale": ('{"score": 7}', "its score 7 is outside of 0 to 1"),
    "below": ('{"score": -0.1}', "its score -0.1 is outside of 0 to 1"),
    "not a number": ('{"score": NaN}', "its score is NaN, and no number"),
    "a truth": ('{"score": true}', "its score is true, and no number"),
    "nothing": ('{"score": null}', "its score is null, and no number"),
    "a list": ('{"score": [1]}', "its score is [1], and no number"),
    "numbers of other things": ("It has 3 errors and 2 typos.", "it has no score"),
}


@pytest.mark.parametrize(("text", "score", "reasoning"), READ.values(), ids=READ.keys())
def test_what_is_plainly_a_score_is_read(text: str, score: float, reasoning: str) -> None:
    assert read(text) == (score, reasoning, "")


@pytest.mark.parametrize(("text", "problem"), UNREAD.values(), ids=UNREAD.keys())
def test_what_is_not_is_no_score(text: str, problem: str) -> None:
    assert read(text)[::2] == (None, problem)


def test_other_scales_and_words_are_read() -> None:
    assert read('{"score": 7}', 1, 10)[0] == 7
    assert read('{"score": "Somewhat"}', labels={"not at all": 0.0, "somewhat": 0.5})[0] == 0.5


def test_everything_that_goes_wrong_is_counted_and_nothing_hangs(
    workspace: Path, judge: Callable[..., JudgeServer]
) -> None:
    tries: dict[int, int] = {}

    def plan(_: int, asked: dict[str, Any]) -> Answer:
        case = number(asked)
        tries[case] = tries.get(case, 0) + 1
        first = tries[case] == 1
        return {
            0: Answer('{"reasoning": "good", "score": 0.25}'),
            1: Answer(status=429, headers={"retry-after": "0"}) if first else Answer('{"score": 0.5}'),
            2: Answer(status=500) if first else Answer('{"score": 0.75}'),
            3: Answer('{"reasoning": "cut'),  # both times
            4: Answer('Well, {"reasoning": "prose", "score": 1} it is'),
            5: Answer(seconds=3.0),  # longer than the time-out, each time
            6: Answer(hangs_up=True) if first else Answer('{"score": 0}'),
            7: Answer('{"score": 8}') if first else Answer('{"score": 0.8}'),  # read at the second time of asking
        }[case]

    server = judge(plan)
    judged = scorer(server, retries=1, timeout_s=0.5, price_in=2.0, price_out=10.0)
    scores = judged.score(CASES)
    assert [score.value for score in scores] == [0.25, 0.5, 0.75, None, 1.0, None, 0.0, 0.8]
    assert [score.status for score in scores] == ["scored"] * 3 + ["unparsed", "scored", "failed", "scored", "scored"]
    assert scores[0].note == "good" and scores[4].note == "prose"
    assert scores[3].note == 'it has no score: {"reasoning": "cut'
    assert scores[5].note == "does not answer within 0.5 s; it was asked 2 times"
    metrics = judged.metrics()
    assert (metrics["feedback/failures"], metrics["feedback/unparsed"], metrics["feedback/cached"]) == (1, 1, 0)
    # 7 answered at the first round and 2 asked again for another reply, at 100 and 10 tokens.
    assert metrics["feedback/cost"] == pytest.approx(9 * (100 * 2 + 10 * 10) / 1e6)
    assert 0 < metrics["feedback/latency_s"] < 0.5
    assert judged.metrics() == {}
    judged.close()


def test_requests_run_at_once_and_each_text_is_asked_once(workspace: Path, judge: Callable[..., JudgeServer]) -> None:
    server = judge(lambda *_: Answer(seconds=0.2))
    judged = scorer(server, concurrency=3)
    assert {score.value for score in judged.score([*CASES, *CASES[:4]])} == {0.5}
    assert server.most_at_once == 3
    assert len(server.requests) == 8
    # Another scorer, another process: the same question is answered from the workspace.
    again = scorer(server)
    assert {score.value for score in again.score(CASES)} == {0.5}
    assert len(server.requests) == 8 and again.metrics()["feedback/cached"] == 1.0
    other = scorer(server, max_tokens=99)
    other.score(CASES[:1])
    assert len(server.requests) == 9, "other settings are another question"
    for each in (judged, again, other):
        each.close()


def test_what_could_not_be_read_or_asked_is_not_kept(workspace: Path, judge: Callable[..., JudgeServer]) -> None:
    server = judge(lambda *_: Answer("no idea"))
    judged = scorer(server)
    assert judged.score(CASES[:1])[0].status == "unparsed"
    assert len(server.requests) == 2
    judged.score(CASES[:1])
    assert len(server.requests) == 4
    judged.close()


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (Answer(status=401), "does not take the key in the environment variable JUDGE_KEY (status 401)"),
        (Answer(status=404), "has no such model or no such address (status 404)"),
        (Answer(status=503), "answers with status 503; it was asked 2 times"),
        (Answer(body="<html>", headers={"content-type": "text/html"}), "answers with what is no chat completion"),
    ],
)
def test_an_endpoint_that_answers_nothing_is_unreachable_and_the_key_stays_secret(
    workspace: Path,
    judge: Callable[..., JudgeServer],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    answer: Answer,
    sentence: str,
) -> None:
    monkeypatch.setenv("JUDGE_KEY", "sk-very-secret")
    caplog.set_level(logging.DEBUG)
    server = judge(lambda *_: answer)
    judged = scorer(server, api_key="JUDGE_KEY", retries=1)
    with pytest.raises(Unreachable) as caught:
        judged.score(CASES)
    assert sentence in str(caught.value) and server.url in str(caught.value)
    assert set(server.keys) == {"Bearer sk-very-secret"}
    assert "very-secret" not in str(caught.value) + repr(judged.backend.__dict__) + caplog.text
    for path in (path for path in workspace.rglob("*") if path.is_file()):
        assert b"very-secret" not in path.read_bytes()
    judged.close()


def test_an_endpoint_that_is_down_is_unreachable_and_then_goes_on(
    workspace: Path, judge: Callable[..., JudgeServer]
) -> None:
    server = judge(lambda *_: GOOD)
    judged = scorer(server, retries=1)
    assert judged.score(CASES[:2])[0].value == 0.5
    server.stop()
    with pytest.raises(Unreachable, match="cannot be reached"):
        judged.score(CASES)
    server.start()
    assert {score.value for score in judged.score(CASES)} == {0.5}
    assert len(server.requests) == 8, "the two of before are known"
    judged.close()


def test_an_endpoint_without_schemas_and_probabilities_is_asked_plainly(
    workspace: Path, judge: Callable[..., JudgeServer]
) -> None:
    def plan(_: int, asked: dict[str, Any]) -> Answer:
        return Answer(status=400) if "logprobs" in asked or "response_format" in asked else GOOD

    server = judge(plan)
    judged = scorer(server, concurrency=1)
    assert {score.value for score in judged.score(CASES)} == {0.5}
    asked = [(asked.get("response_format") or {}).get("type") for asked in server.requests]
    assert asked[:4] == ["json_schema", "json_schema", "json_object", None] and set(asked[4:]) == {None}
    assert len(server.requests) == 11
    judged.close()


def test_a_graded_score_is_the_expectation_over_the_tokens_of_the_score(
    workspace: Path, judge: Callable[..., JudgeServer]
) -> None:
    others = {"7": math.log(0.6), "3": math.log(0.3), "x": math.log(0.1)}
    tokens = [('{"', {}), ("score", {}), ('": ', {}), ("0", {}), (".", {}), ("7", others), ("}", {})]
    server = judge(lambda *_: Answer('{"score": 0.7}', logprobs=tokens))
    judged = scorer(server)
    assert judged.score(CASES[:1])[0].value == pytest.approx((0.6 * 0.7 + 0.3 * 0.3) / 0.9)
    judged.close()


def test_a_prompt_that_cannot_be_filled_in_is_no_score_for_that_row(
    workspace: Path, judge: Callable[..., JudgeServer]
) -> None:
    server = judge(lambda *_: GOOD)
    part = FeedbackReward(prompt="warm@1", model="judge", base_url=server.url)
    prompt = RewardPrompt("warm", 1, "{{ completion }} {{ ground_truth.upper() }} 0")
    judged = FeedbackScorer(prompt, part, Endpoint(part))
    scores = judged.score([Case("p", "c", {"ground_truth": "x"}), Case("p", "c", {"ground_truth": 3}), Case("p", "c")])
    assert [score.status for score in scores] == ["scored", "invalid", "invalid"]
    judged.close()


def test_the_cache_is_shared_by_threads_and_bounded(tmp_path: Path) -> None:
    cache = Cache(["a"], tmp_path / "c.sqlite", largest=20_000)
    threads = [
        threading.Thread(target=cache.keep, args=({f"{n} {m}": Reply(0.5, "x" * 50) for m in range(20)},))
        for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 0 < len(cache.find([f"{n} {m}" for n in range(8) for m in range(20)])) < 160
    assert Cache(["b"], tmp_path / "c.sqlite").find(["0 0"]) == {}
