"""Feedback models over HTTP: with a server that is slow, wrong, busy, down or chatty, scores and counts are right."""

from __future__ import annotations

import logging
import math
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from tests.kernel.judge_server import Answer, JudgeServer

import tunelab as tl
from tunelab.scoring.cache import Cache
from tunelab.scoring.endpoint import Endpoint
from tunelab.scoring.feedback import FeedbackScorer, backend
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
    part = FeedbackReward(prompt="warm@1", model="judge", **{"base_url": server.url, "timeout_s": 20.0, **keys})
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
    "out of the range's end": ("**Score:** 0.8 out of 1.", 0.8, ""),
    "a share": ("0.7/1", 0.7, ""),
    "a number alone": ("0.7", 0.7, ""),
    "cut after a fraction": ('{"reasoning": "x", "score": 0.7', 0.7, "x"),
    "broken lines": ('{"reasoning": "a\nb", "score": 0.5}', 0.5, "a\nb"),
    "half a letter": ('{"reasoning": "a\\ud83d", "score": 0.5}', 0.5, "a"),
    "parts with scores": ('{"score": 0.5, "parts": {"score": 0.1}}', 0.5, ""),
    "after thinking": ('<think>score: 0.3, {"score": 0.2}?</think>{"score": 1}', 1.0, ""),
    "quoting an answer": (r'{"reasoning": "it claims {\"score\": 1}", "score": 0}', 0.0, 'it claims {"score": 1}'),
}
UNREAD = {
    "empty": ("", "it is empty"),
    "a refusal": ("I cannot judge this.", "it has no score"),
    "cut before": ('{"reasoning": "it is quite', "it has no score"),
    "cut within": ('{"reasoning": "x", "score": 0.', "it has no score"),
    "cut, and what it quotes": ('{"reasoning": "it claims a score of 1 but', "it has no score"),
    "cut where more digits may be": ('{"reasoning": "x", "score": 1', "it has no score"),
    "cut while thinking": ('<think>{"score": 0.2}', "it is empty"),
    "a score and none": ('{"score": 0.5} {"score": null}', "it has 2 scores"),
    "two in one": ('{"score": 0.2, "score": 0.9}', "its score is [0.2, 0.9], and no number"),
    "two in words": ("[[0.5]], so the score is 0.7", "it has 2 scores"),
    "quotes that do not close": ('{"score": 0.9, "reasoning": "says {"score": 0.2}, so"}', "it has 2 scores"),
    "out of ten": ("Score: 1/10", "its score 1 is out of 10, and not of 1"),
    "a percentage": ("Score: 1%", "it has no score"),
    "a comma": ("Score: 0,7", "it has no score"),
    "the range": ("A score of 0 to 1 was asked for.", "it has no score"),
    "infinite": ('{"score": 1e999}', "its score is Infinity, and no number"),
    "two scores": ('{"score": 0.2} {"score": 0.9}', "it has 2 scores"),
    "another scale": ('{"score": 7}', "its score 7 is outside of 0 to 1"),
    "below": ('{"score": -0.1}', "its score -0.1 is outside of 0 to 1"),
    "not a number": ('{"score": NaN}', "its score is NaN, and no number"),
    "a truth": ('{"score": true}', "its score is true, and no number"),
    "nothing": ('{"score": null}', "its score is null, and no number"),
    "a list": ('{"score": [1]}', "its score is [1], and no number"),
    "a number of Python's": ('{"score": "0_1"}', 'its score is "0_1", and no number'),
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
            5: Answer(seconds=5.0),  # longer than the time-out, each time
            6: Answer(hangs_up=True) if first else Answer('{"score": 0}'),
            7: Answer('{"score": 8}') if first else Answer('{"score": 0.8}'),  # read at the second time of asking
        }[case]

    server = judge(plan)
    judged = scorer(server, retries=1, timeout_s=3.0, price_in=2.0, price_out=10.0)
    scores = judged.score(CASES)
    assert [score.value for score in scores] == [0.25, 0.5, 0.75, None, 1.0, None, 0.0, 0.8]
    assert [score.status for score in scores] == ["scored"] * 3 + ["unparsed", "scored", "failed", "scored", "scored"]
    assert scores[0].note == "good" and scores[4].note == "prose"
    assert scores[3].note == 'it has no score: {"reasoning": "cut'
    assert scores[5].note == "does not answer within 3 s; it was asked 2 times"
    metrics = judged.metrics()
    assert (metrics["feedback/failures"], metrics["feedback/unparsed"], metrics["feedback/cached"]) == (1, 1, 0)
    # 7 answered at the first round and 2 asked again for another reply, at 100 and 10 tokens.
    assert metrics["feedback/cost"] == pytest.approx(9 * (100 * 2 + 10 * 10) / 1e6)
    assert 0 < metrics["feedback/latency_s"] < 3
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
        (Answer(status=402), "wants to be paid first: the account has no credit left (status 402)"),
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
    monkeypatch.setenv("JUDGE_KEY", "sk-very-secret\n")
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


@pytest.mark.parametrize(
    ("refused", "first_taken"),
    [
        # Mistral's has no seed, and says so.
        ({"seed"}, {"logprobs", "top_logprobs", "response_format", "temperature", "max_tokens"}),
        # OpenAI's reasoning models.
        (
            {"max_tokens", "temperature", "logprobs"},
            {"response_format", "seed", "max_completion_tokens"},
        ),
    ],
)
def test_what_an_endpoint_names_is_left_out_and_nothing_else(
    workspace: Path, judge: Callable[..., JudgeServer], refused: set[str], first_taken: set[str]
) -> None:
    def plan(_: int, asked: dict[str, Any]) -> Answer:
        named = sorted(refused & asked.keys())
        names = {"max_tokens": "use max_completion_tokens"}
        return Answer(status=422, body=f'{{"detail": "{names.get(named[0], named[0])}"}}') if named else GOOD

    server = judge(plan)
    judged = scorer(server, concurrency=1)
    assert {score.value for score in judged.score(CASES)} == {0.5}
    assert set(server.requests[len(refused)]) - {"model", "messages"} == first_taken
    assert len(server.requests) == len(refused) + 8
    judged.close()


def test_a_text_that_is_refused_changes_nothing_for_the_others(
    workspace: Path, judge: Callable[..., JudgeServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret")
    server = judge(lambda _, asked: Answer(status=400) if number(asked) in (0, 3) else GOOD)
    judged = scorer(server, concurrency=1)
    scores = judged.score(CASES)
    assert [score.status for score in scores] == ["failed"] + ["scored"] * 2 + ["failed"] + ["scored"] * 4
    assert scores[3].note == "refuses the request (status 400: no: Bearer …)"
    assert all("logprobs" in asked and "seed" in asked for asked in server.requests if number(asked) not in (0, 3))
    # Alone in a batch, since the others are known, it does not hold the run up.
    assert judged.score(CASES[:4])[3].status == "failed"
    judged.close()


@pytest.mark.parametrize(
    ("text", "places", "score"),
    [
        # (0.6 · 0.7 + 0.3 · 0.3) / 0.9; what is no digit does not count.
        ('{"score": 0.7}', {"7": {"7": 0.6, "3": 0.3, "x": 0.1}}, 0.51 / 0.9),
        # One token of two digits: 0.75 and 0.8.
        ('{"score": 0.75}', {"75": {"75": 0.5, "8": 0.5}}, 0.775),
        # Two tokens of one digit: what follows 7 is known.
        ('{"score": 0.75}', {"7": {"7": 1.0}, "5": {"5": 0.5, "9": 0.5}}, 0.75),
        # It might have been 1.
        ('{"score": 0.5}', {"0": {"0": 0.8, "1": 0.2}, "5": {"5": 1.0}}, 0.6),
        ('{"score": 1}', {"1": {"1": 0.7, "0": 0.3}}, 0.7),
        ('{"score": 0}', {"0": {"0": 0.6, " 1": 0.4}}, 0.4),
        # What 0 would have gone on with is not known.
        ('{"score": 1.0}', {"1": {"1": 0.7, "0": 0.3}}, 1.0),
        # Another digit is probable, and no score.
        ('{"score": 0.7}', {"7": {"7": 0.2, "}": 0.8}}, 0.7),
        ('{"score": 0.7}', {}, 0.7),
    ],
)
def test_a_graded_score_is_the_expectation_over_the_tokens_of_the_score(
    workspace: Path, judge: Callable[..., JudgeServer], text: str, places: dict[str, dict[str, float]], score: float
) -> None:
    said = f'{{"reasoning": "0.7 😊 {{", {text[1:]}'
    digits, after = text.removeprefix('{"score": ').removesuffix("}"), sorted(places, key=text.index)
    tokens: list[tuple[str, dict[str, float]]] = [(said[: said.rindex(digits)], {})]
    while digits:
        token = after.pop(0) if after and digits.startswith(after[0]) else digits[0]
        shares = places.get(token, {})
        tokens.append((token, {other: math.log(share) for other, share in shares.items()}))
        digits = digits.removeprefix(token)
    server = judge(lambda *_: Answer(said, logprobs=[*tokens, ("}", {}), ("<|im_end|>", {})]))
    judged = scorer(server)
    assert judged.score(CASES[:1])[0].value == pytest.approx(score)
    judged.close()


@pytest.mark.parametrize("logprobs", [[], [("other words.", {}), ("3", {"3": -0.7, "9": -0.7})]])
def test_probabilities_that_do_not_fit_the_reply_are_left_aside(
    workspace: Path, judge: Callable[..., JudgeServer], logprobs: Any
) -> None:
    judged = scorer(judge(lambda *_: Answer('{"score": 0.7}', logprobs=logprobs)))
    assert judged.score(CASES[:1])[0].value == 0.7
    judged.close()


@pytest.mark.parametrize("pause", ["0.3", "Wed, 21 Oct 2015 07:28:00 GMT"], ids=["seconds", "a date"])
def test_a_server_says_itself_when_to_come_again(
    workspace: Path, judge: Callable[..., JudgeServer], pause: str
) -> None:
    server = judge(lambda n, _: Answer(status=429, headers={"retry-after": pause}) if n == 1 else GOOD)
    part = FeedbackReward(prompt="warm@1", model="judge", base_url=server.url, timeout_s=5)
    endpoint, begin = Endpoint(part, first_pause_s=60), time.monotonic()
    assert endpoint.ask(["a"])[0].score == 0.5
    assert (0.3 if pause == "0.3" else 0) <= time.monotonic() - begin < 30
    endpoint.close()


def test_an_endpoint_that_goes_away_half_way_is_not_asked_on_and_what_it_said_is_kept(
    workspace: Path, judge: Callable[..., JudgeServer]
) -> None:
    is_up = False
    server = judge(lambda n, _: GOOD if n <= 3 or is_up else Answer(status=503))
    judged = scorer(server, concurrency=1, retries=0)
    with pytest.raises(Unreachable, match="status 503; it was asked once"):
        judged.score(CASES)
    assert len(server.requests) == 6, "three failures in a row are enough"
    is_up = True
    assert {score.value for score in judged.score(CASES)} == {0.5}
    assert len(server.requests) == 11
    assert judged.metrics()["feedback/cached"] == 3 / 8
    judged.close()


@pytest.mark.parametrize("status", [402, 405, 410, 429, 500, 507, 520, 529])
def test_an_endpoint_that_answers_no_more_stops_the_run_whatever_status_it_says_so_with(
    workspace: Path, judge: Callable[..., JudgeServer], status: int
) -> None:
    server = judge(lambda n, _: GOOD if n <= 4 else Answer(status=status))
    judged = scorer(server, concurrency=2, retries=1)
    assert {score.value for score in judged.score(CASES[:4])} == {0.5}
    with pytest.raises(Unreachable, match=rf"status {status}\b"):
        judged.score(CASES[4:])
    judged.close()


def test_a_status_of_a_host_s_own_may_pass(workspace: Path, judge: Callable[..., JudgeServer]) -> None:
    judged = scorer(judge(lambda n, _: Answer(status=529) if n == 1 else GOOD))
    assert judged.score(CASES[:1])[0].value == 0.5
    assert judged.metrics()["feedback/failures"] == 0
    judged.close()


@pytest.mark.parametrize("usage", ['{"prompt_tokens": "12", "completion_tokens": {}}', "null", "[]"])
def test_tokens_that_are_not_told_as_numbers_cost_nothing(
    workspace: Path, judge: Callable[..., JudgeServer], usage: str
) -> None:
    message = '{"role": "assistant", "content": "{\\"score\\": 0.5}"}'
    body = f'{{"choices": [{{"index": 0, "finish_reason": "stop", "message": {message}}}], "usage": {usage}}}'
    judged = scorer(judge(lambda *_: Answer(body=body)), price_in=1.0)
    assert judged.score(CASES[:1])[0].value == 0.5
    assert judged.metrics()["feedback/cost"] == 0
    judged.close()


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        ({"base_url": "http://127.0.0.1:99999/v1"}, "base_url is no address"),
        ({"base_url": "http://no-such-host.invalid/v1", "retries": 0}, "cannot be reached"),
        ({"api_key": "BROKEN_KEY"}, "the key in the environment variable BROKEN_KEY has characters"),
    ],
)
def test_what_cannot_be_asked_at_all_is_said_without_the_key(
    workspace: Path, judge: Callable[..., JudgeServer], monkeypatch: pytest.MonkeyPatch, keys: Any, sentence: str
) -> None:
    monkeypatch.setenv("BROKEN_KEY", "sk-very\nsecret")
    judged = scorer(judge(lambda *_: GOOD), **keys)
    with pytest.raises(Unreachable, match=sentence) as caught:
        judged.score(CASES[:1])
    assert "very" not in str(caught.value)
    judged.close()


def test_closing_ends_what_is_on_its_way(workspace: Path, judge: Callable[..., JudgeServer]) -> None:
    server = judge(lambda *_: Answer(seconds=20.0))
    judged = scorer(server, timeout_s=30)
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(judged.score, CASES)
        while not server.requests:
            time.sleep(0.01)
        begin = time.monotonic()
        judged.close()
        judged.close()
        with pytest.raises(Unreachable, match="was closed while it was asked"):
            asked.result(15)
    assert time.monotonic() - begin < 10
    assert not [thread for thread in threading.enumerate() if thread.name == "tunelab-feedback"]


def test_a_model_here_scores_through_the_same_door(workspace: Path, tiny_models: dict[str, Path]) -> None:
    part = FeedbackReward(prompt="warm@1", model=str(tiny_models["llama"]))
    judged = FeedbackScorer(PROMPT, part, backend(part))
    scores = judged.score([*CASES[:2], CASES[0]])
    assert all(score.status == "scored" and 0 < (score.value or 0) < 1 for score in scores)
    assert scores[0] == scores[2] != scores[1]
    metrics = judged.metrics()
    assert metrics["feedback/cached"] == 0 and metrics["feedback/latency_s"] > 0 and "feedback/cost" not in metrics
    assert judged.score(CASES[:2]) == scores[:2] and judged.metrics()["feedback/cached"] == 1
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


def test_the_cache_is_shared_by_processes(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from tunelab.scoring.cache import Cache; "
        "from tunelab.scoring.replies import Reply; cache = Cache(['a'], Path(sys.argv[1])); "
        "[cache.keep({f'{sys.argv[2]} {n}': Reply(0.5)}) for n in range(30)]"
    )
    path = tmp_path / "c.sqlite"
    processes = [subprocess.Popen([sys.executable, "-c", code, str(path), str(n)]) for n in range(3)]
    assert [process.wait(60) for process in processes] == [0, 0, 0]
    assert len(Cache(["a"], path).find([f"{n} {m}" for n in range(3) for m in range(30)])) == 90


def test_a_cache_that_cannot_be_read_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "c.sqlite"
    path.write_text("no database " * 1000)
    with pytest.raises(tl.Error, match=r"c\.sqlite cannot be used \(file is not a database\)\. .* move the file away"):
        Cache(["a"], path).find(["x"])
