"""A server with OpenAI's chat completions that behaves as it is told to, badly above all, and counts its requests."""

from __future__ import annotations

import json
import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Answer:
    """What the server does with a request."""

    text: str = '{"reasoning": "good", "score": 0.5}'
    status: int = 200
    seconds: float = 0.0
    headers: dict[str, str] = field(default_factory=dict)
    #: Sent in place of a chat completion.
    body: str | None = None
    #: The connection is closed without a word.
    hangs_up: bool = False
    finish_reason: str = "stop"
    #: Tokens with their alternatives: [(token, {alternative: logprob})].
    logprobs: list[tuple[str, dict[str, float]]] | None = None


def replay(recorded: Mapping[str, Sequence[Answer | str]]) -> Callable[[int, dict[str, Any]], Answer]:
    """Return a plan that answers what has a key in it with that key's answers, one after the other, the last again."""
    asked: dict[str, int] = {}

    def plan(_: int, request: dict[str, Any]) -> Answer:
        text = request["messages"][0]["content"]
        (key,) = (key for key in recorded if key in text)
        asked[key] = asked.get(key, 0) + 1
        answers = recorded[key]
        answer = answers[min(asked[key], len(answers)) - 1]
        return answer if isinstance(answer, Answer) else Answer(answer)

    return plan


def spelled(*tokens: str | tuple[str, dict[str, float]]) -> Answer:
    """Return an answer token by token, some of them with the probabilities of what might have stood there."""
    told = [(token, {token: 1.0}) if isinstance(token, str) else token for token in tokens]
    logprobs = [(token, {other: math.log(share) for other, share in shares.items()}) for token, shares in told]
    return Answer("".join(token for token, _ in told), logprobs=logprobs)


class JudgeServer:
    """A judge on a port of this machine; `plan` says how the n-th request (from 1) with a body is answered."""

    def __init__(self, plan: Callable[[int, dict[str, Any]], Answer]) -> None:
        self.plan = plan
        self.requests: list[dict[str, Any]] = []
        self.keys: list[str] = []
        self.most_at_once = 0
        self._now = 0
        self._lock = threading.Lock()
        self._server: ThreadingHTTPServer | None = None
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def start(self) -> None:
        """Listen, on the same port as before where there was one."""
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                outer._answer(self)

            def log_message(self, *_: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            # As many connections as tests make at once: more are refused.
            request_queue_size = 64
            allow_reuse_address = True
            daemon_threads = True

        self._server = Server(("127.0.0.1", self.port), Handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        """Listen no more."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        asked = json.loads(handler.rfile.read(int(handler.headers["content-length"])))
        with self._lock:
            self._now += 1
            self.most_at_once = max(self.most_at_once, self._now)
            self.requests.append(asked)
            self.keys.append(handler.headers.get("authorization", ""))
            number = len(self.requests)
        try:
            answer = self.plan(number, asked)
            time.sleep(answer.seconds)
            if answer.hangs_up:
                handler.close_connection = True
                handler.connection.close()
                return
            body = answer.body if answer.body is not None else json.dumps(_completion(answer))
            if answer.status != 200 and answer.body is None:
                # Some servers say the key again.
                body = json.dumps({"error": {"message": f"no: {handler.headers.get('authorization')}"}})
            handler.send_response(answer.status)
            for name, value in {"content-type": "application/json", **answer.headers}.items():
                handler.send_header(name, value)
            handler.send_header("content-length", str(len(body.encode())))
            handler.end_headers()
            handler.wfile.write(body.encode())
        except BrokenPipeError:
            pass
        finally:
            with self._lock:
                self._now -= 1


def _completion(answer: Answer) -> dict[str, Any]:
    logprobs = None
    if answer.logprobs is not None:
        logprobs = {
            "content": [
                {"token": token, "logprob": others.get(token, 0.0), "bytes": None, "top_logprobs": [
                    {"token": other, "logprob": logprob, "bytes": None} for other, logprob in others.items()
                ]}
                for token, others in answer.logprobs
            ]
        }  # fmt: skip
    return {
        "id": "1", "object": "chat.completion", "created": 0, "model": "judge",
        "choices": [{
            "index": 0, "finish_reason": answer.finish_reason, "logprobs": logprobs,
            "message": {"role": "assistant", "content": answer.text},
        }],
        "usage": {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110},
    }  # fmt: skip
