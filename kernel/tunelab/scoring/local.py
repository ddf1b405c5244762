"""A feedback model on this machine: its score is an expectation over what it might say, so a small model gives grades.

A sampled number is one of a few and mostly the same one. The probabilities behind it move with every answer, and one
forward pass has them all: ``Σ P(label) · value`` over the labels of a scale (G-Eval, Liu et al. 2023, section 2.1).
"""

from __future__ import annotations

import contextlib
import copy
import functools
import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import peft
import torch
from torch import Tensor
from transformers import DynamicCache

from tunelab.models import find, load
from tunelab.scoring.guided import BEGIN, Guide, Reasonings
from tunelab.scoring.replies import Form, Reply

#: Part of the digest: another way of scoring gives other scores for the same text.
_WAY = "1"
#: What the score may begin with, after ``"score": 0.``, and what it stands for.
SCALE: dict[str, float] = {str(digit): digit / 9 for digit in range(10)}
#: Tokens kept free for the score after a reasoning.
_ROOM = 16
#: A prefix that all texts of a call share is read once if it is this long.
_WORTH_SHARING = 16


@dataclass(frozen=True)
class Expectation:
    """What a model would say next, among some labels.

    `value` is ``Σ P(label) · value`` with the probabilities made to sum to 1; `mass` is what they summed to before:
    near 0 the model would rather have said something else. `value` is None where the text is too long, as `problem`
    says.
    """

    value: float | None
    probabilities: dict[str, float] = field(default_factory=dict)
    mass: float = 0.0
    problem: str = ""
    latency_s: float = 0.0
    tokens: int = 0


@dataclass(frozen=True)
class _Row:
    """A text's tokens as far as all labels share them, and what is left of each label."""

    shared: list[int]
    rests: list[list[int]]


class LocalModel:
    """Scores texts by a model of the catalog, a folder, the hub, or a custom model.

    It is a copy of its own in memory, also where the policy that it scores is on the same base: that one changes in
    training, and the feedback must not.

    Parameters
    ----------
    model
        A name as `models.find.find` takes it.
    device, dtype
        Where it runs, and ``float32`` or ``bfloat16``; by default float32 on a CPU, and on a GPU what it is fast in.
    threads
        Cores used while it scores; by default as many as the process uses anyway.
    batch_tokens
        Tokens of a batch, padding included: bounds the memory.
    reasoning_tokens
        The longest reasoning.
    say
        Told what is being brought and loaded.

    Raises
    ------
    ModelError
        If there is no such model or it cannot be loaded.
    """

    def __init__(
        self,
        model: str,
        device: str = "cpu",
        dtype: str | None = None,
        threads: int | None = None,
        batch_tokens: int = 8192,
        reasoning_tokens: int = 64,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        ref = find.find(model)
        root = ref.base or ref
        folder = load.bring(root, say)
        self.name = ref.name
        self.threads = threads
        self.batch_tokens = batch_tokens
        self.reasoning_tokens = reasoning_tokens
        self._folders = [folder] if ref.base is None or ref.folder is None else [folder, ref.folder]
        self._dtype = dtype or (
            "bfloat16" if device.startswith("cuda") and torch.cuda.is_bf16_supported() else "float32"
        )
        say(f"loading {ref.name}")
        loaded: Any = load.base_model(folder, self._dtype, device)
        if len(self._folders) == 2:
            loaded = peft.PeftModel.from_pretrained(loaded, str(ref.folder)).merge_and_unload(safe_merge=True)
        self._model = loaded.eval().requires_grad_(False)
        self._tokenizer: Any = load.tokenizer(self._folders[-1])
        text = loaded.config.get_text_config()
        self._limit: int | None = getattr(text, "max_position_embeddings", None)
        kinds = set(getattr(text, "layer_types", None) or ())
        # A window counts places in the cache, where padding between a shared prefix and the rest would stand too.
        self._can_share = not kinds - {"full_attention"} and (bool(kinds) or not getattr(text, "sliding_window", None))

    @functools.cached_property
    def digest(self) -> str:
        """What the scores depend on besides the text: weights, tokenizer, template, number format, way of scoring."""
        found = hashlib.sha256(json.dumps([_WAY, SCALE, self._dtype, self.reasoning_tokens]).encode())
        names = ("*.safetensors", "tokenizer*.json", "*.jinja", "config.json", "adapter_config.json")
        for folder in self._folders:
            for file in sorted({file for name in names for file in folder.glob(name)}):
                with file.open("rb") as content:
                    found.update(file.name.encode() + hashlib.file_digest(content, "sha256").digest())
        return found.hexdigest()

    def score(self, texts: Sequence[str], reasoning: bool = False) -> list[Reply]:
        """Return a reply to each text with a score of 0 to 1.

        Parameters
        ----------
        texts
            Rendered reward prompts.
        reasoning
            Whether the model reasons before it scores: slower, by some tokens for each text.
        """
        return self.rate(texts, Form(reasons=reasoning))

    def rate(self, texts: Sequence[str], form: Form) -> list[Reply]:
        """Return a reply to each text, valid by the form's schema, and what is expected of its score."""
        opened = [self.opened(text) for text in texts]
        reasons = self._reasons(opened) if form.reasons else [_Reason("") for _ in texts]
        quote = '"' if form.in_words else ""
        # Words stand as JSON has them.
        labels = {_quoted(choice)[1:-1] if quote else choice: value for choice, value in form.choices.items()} or SCALE
        score, end = (f'"score": {quote}', quote or "}") if form.points else ('"score": 0.', "")
        begins = [
            text + (f'{{"reasoning": {_quoted(reason.text)}, {score}' if form.reasons else f"{{{score}")
            for text, reason in zip(opened, reasons, strict=True)
        ]
        graded = self.expectation(begins, labels, end)
        return [_reply(reason, grade, form) for reason, grade in zip(reasons, graded, strict=True)]

    def opened(self, text: str, begin: str = "") -> str:
        """Return a text as the user's turn of a conversation, where the model's reply begins with `begin`."""
        for token in self._controls:
            # What a policy writes must not end its judge's turn.
            text = text.replace(token, f"{token[0]} {token[1:]}")
        if self._tokenizer.chat_template is None:
            return f"{text}\nReply: {begin}"
        messages = [{"role": "user", "content": text}]
        shown = self._tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
        return f"{shown}{begin}"

    @torch.inference_mode()
    def expectation(self, prefixes: Sequence[str], labels: Mapping[str, float], end: str = "") -> list[Expectation]:
        """Return what the model expects to follow each prefix, among `labels`.

        Parameters
        ----------
        prefixes
            Whole texts, as `opened` gives them.
        labels
            What may follow, and its value. A label's probability is the product of its tokens'.
        end
            What closes a label, such as a quotation mark. Needed where one label begins another.

        Raises
        ------
        ValueError
            If a label begins another one and `end` does not tell them apart.
        """
        rows = self._rows(prefixes, list(labels), end)
        longest = [len(row.shared) + max(len(rest) for rest in row.rests) for row in rows]
        out = [Expectation(None, problem=self._too_long(length), tokens=length) for length in longest]
        fitting = [number for number, grade in enumerate(out) if not grade.problem]
        with self._threads():
            common, cache = self._common([rows[number].shared for number in fitting])
            for batch in _batches(fitting, longest, self.batch_tokens):
                started = time.perf_counter()
                logps = self._label_logps([rows[number] for number in batch], common, cache)
                took = time.perf_counter() - started
                for number, row_logps in zip(batch, logps, strict=True):
                    out[number] = _expectation(row_logps, labels, took, longest[number])
        return out

    def _rows(self, prefixes: Sequence[str], labels: list[str], end: str) -> list[_Row]:
        endings = ["", *(label + end for label in labels)]
        ids = self._encode([prefix + ending for prefix in prefixes for ending in endings])
        rows = []
        for begin in range(0, len(ids), len(endings)):
            prefix, *of_labels = ids[begin : begin + len(endings)]
            # A tokenizer may join the prefix's last letters with the label's first: those belong to the label then.
            shared = _shared([prefix, *of_labels])
            if shared == 0:
                raise ValueError("the prefix is empty, or a token with the label: there is nothing to expect from")
            rests = [one[shared:] for one in of_labels]
            for label, rest in zip(labels, rests, strict=True):
                if sum(other[: len(rest)] == rest for other in rests) > 1:
                    raise ValueError(f"the label {label!r} begins another label: say by `end` what closes a label")
            rows.append(_Row(prefix[:shared], rests))
        return rows

    def _encode(self, texts: list[str]) -> list[list[int]]:
        if not texts:
            return []
        ids: list[list[int]] = self._tokenizer(texts, add_special_tokens=False)["input_ids"]
        return [self._head + one for one in ids]

    @functools.cached_property
    def _head(self) -> list[int]:
        """What the tokenizer puts before a text; a chat template writes its own."""
        if self._tokenizer.chat_template is not None:
            return []
        plain = self._tokenizer("a", add_special_tokens=False)["input_ids"]
        whole: list[int] = self._tokenizer("a")["input_ids"]
        return whole[: whole.index(plain[0])]

    @functools.cached_property
    def _controls(self) -> list[str]:
        added = self._tokenizer.added_tokens_decoder.values()
        named = {token.content for token in added if token.special} | set(self._tokenizer.all_special_tokens)
        return sorted((token for token in named if len(token) > 1), key=len, reverse=True)

    @functools.cached_property
    def _guide(self) -> Guide:
        return Guide(self._tokenizer, self._model.get_output_embeddings().weight.shape[0])

    def _too_long(self, length: int) -> str:
        if self._limit is None or length <= self._limit:
            return ""
        return (
            f"the text has {length:,} tokens, and {self.name} reads {self._limit:,}; shorten the prompt or the answer"
        )

    @contextlib.contextmanager
    def _threads(self) -> Iterator[None]:
        before = torch.get_num_threads()
        torch.set_num_threads(self.threads or before)
        try:
            yield
        finally:
            torch.set_num_threads(before)

    def _common(self, texts: list[list[int]]) -> tuple[int, DynamicCache | None]:
        """Read what all texts begin with: a reward prompt's own words, and a question that a group answers."""
        # The last token is read with each text, since its logits are wanted.
        common = min(_shared(texts), min(map(len, texts)) - 1) if len(texts) > 1 and self._can_share else 0
        if common < _WORTH_SHARING:
            return 0, None
        cache = DynamicCache(config=self._model.config)
        ids = torch.tensor([texts[0][:common]], device=self._model.device)
        self._model(input_ids=ids, past_key_values=cache, use_cache=True, logits_to_keep=1)
        return common, cache

    def _read(self, texts: list[list[int]], common: int, cache: DynamicCache | None) -> tuple[Tensor, Any, Tensor]:
        """Return the logits after each text, of shape (texts, vocabulary), the cache, and the mask of its places."""
        left = [text[common:] for text in texts]
        width, device = max(map(len, left)), self._model.device
        ids = torch.tensor([[0] * (width - len(one)) + one for one in left], device=device)
        mask = torch.tensor([[1] * common + [0] * (width - len(one)) + [1] * len(one) for one in left], device=device)
        if cache is None:
            cache = DynamicCache(config=self._model.config)
        else:
            cache = copy.deepcopy(cache)
            cache.batch_repeat_interleave(len(texts))
        out = self._model(
            input_ids=ids,
            attention_mask=mask,
            position_ids=(mask.cumsum(1) - 1).clamp(min=0)[:, common:],
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        )
        return out.logits[:, -1].float(), out.past_key_values, mask

    def _label_logps(self, rows: list[_Row], common: int, cache: DynamicCache | None) -> list[list[float]]:
        """Return log P(label) for each row and label."""
        logits, cache, mask = self._read([row.shared for row in rows], common, cache)
        first = torch.log_softmax(logits, dim=-1)
        device, count = first.device, len(rows[0].rests)
        found = []
        for number in range(count):
            rests = [row.rests[number] for row in rows]
            logps = first.gather(1, torch.tensor([[rest[0]] for rest in rests], device=device))[:, 0]
            width = max(map(len, rests)) - 1
            if width:
                ids = torch.tensor([rest + [0] * (width + 1 - len(rest)) for rest in rests], device=device)
                kept = torch.tensor([[1] * len(rest) + [0] * (width + 1 - len(rest)) for rest in rests], device=device)
                out = self._model(
                    input_ids=ids[:, :-1],
                    attention_mask=torch.cat([mask, kept[:, :-1]], dim=1),
                    position_ids=mask.sum(1, keepdim=True) + torch.arange(width, device=device),
                    past_key_values=copy.deepcopy(cache),
                    use_cache=True,
                )
                later = torch.log_softmax(out.logits.float(), dim=-1).gather(2, ids[:, 1:, None])[..., 0]
                logps = logps + (later * kept[:, 1:]).sum(1)
            found.append(logps)
        values: list[list[float]] = torch.stack(found, dim=1).tolist()
        return values

    @torch.inference_mode()
    def _reasons(self, opened: list[str]) -> list[_Reason]:
        """Return a short reasoning for each text, greedy, held to the JSON string that it stands in."""
        ids = self._encode([text + BEGIN for text in opened])
        lengths = [len(one) + self.reasoning_tokens + _ROOM for one in ids]
        out = [_Reason("", problem=self._too_long(length)) for length in lengths]
        fitting = [number for number, reason in enumerate(out) if not reason.problem]
        with self._threads():
            common, cache = self._common([ids[number] for number in fitting])
            for batch in _batches(fitting, lengths, self.batch_tokens):
                started = time.perf_counter()
                written = self._write([ids[number] for number in batch], common, cache)
                took = time.perf_counter() - started
                for row, number in enumerate(batch):
                    out[number] = _Reason(written.text(row), "", took, len(ids[number]), len(written.tokens[row]))
        return out

    def _write(self, texts: list[list[int]], common: int, cache: DynamicCache | None) -> Reasonings:
        written = Reasonings(self._guide, len(texts))
        rows = list(range(len(texts)))
        logits, past, mask = self._read(texts, common, cache)
        for place in range(self.reasoning_tokens):
            drawn = written.write(rows, logits)
            going = [at for at, row in enumerate(rows) if not written.is_closed(row)]
            if not going or place == self.reasoning_tokens - 1:
                break
            if len(going) < len(rows):
                rows = [rows[at] for at in going]
                kept = torch.tensor(going, device=logits.device)
                past.batch_select_indices(kept)
                mask, drawn = mask[kept], drawn[kept]
            mask = torch.cat([mask, mask.new_ones(len(rows), 1)], dim=1)
            out = self._model(
                input_ids=drawn[:, None],
                attention_mask=mask,
                position_ids=mask.sum(1, keepdim=True) - 1,
                past_key_values=past,
                use_cache=True,
            )
            logits = out.logits[:, -1].float()
        return written


@dataclass(frozen=True)
class _Reason:
    text: str
    problem: str = ""
    latency_s: float = 0.0
    tokens_in: int = 0
    tokens_out: int = 0


def _reply(reason: _Reason, grade: Expectation, form: Form) -> Reply:
    if reason.problem or grade.problem or grade.value is None:
        return Reply(None, status="failed", problem=reason.problem or grade.problem)
    score, label = grade.value, ""
    shown: dict[str, Any] = {"reasoning": reason.text, "score": round(score, 4)}
    if form.points:
        shares = dict(zip(form.choices, grade.probabilities.values(), strict=True))
        likeliest = max(shares, key=shares.__getitem__)
        score = score if form.expects else form.choices[likeliest]
        label = form.label(score)
        shown["score"] = likeliest if form.in_words else json.loads(likeliest)
        shown["probabilities"] = {choice: round(share, 4) for choice, share in shares.items()}
    text = json.dumps(shown, ensure_ascii=False)
    took, read = reason.latency_s + grade.latency_s, reason.tokens_in or grade.tokens
    return Reply(score, reason.text, "scored", "", text, took, read, reason.tokens_out + 1, label)


def _expectation(logps: list[float], labels: Mapping[str, float], took: float, tokens: int) -> Expectation:
    shares = torch.tensor(logps, dtype=torch.float64)
    probabilities = dict(zip(labels, torch.softmax(shares, dim=0).tolist(), strict=True))
    value = sum(share * labels[label] for label, share in probabilities.items())
    return Expectation(value, probabilities, float(shares.exp().sum()), "", took, tokens)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _shared(texts: list[list[int]]) -> int:
    """Return how many tokens all texts begin with alike."""
    low, high = min(texts), max(texts)
    return next((at for at, (a, b) in enumerate(zip(low, high, strict=False)) if a != b), min(len(low), len(high)))


def _batches(numbers: list[int], lengths: list[int], budget: int) -> Iterator[list[int]]:
    """Yield batches of alike length, longest first, so that memory that is too small shows at once."""
    order = sorted(numbers, key=lambda number: -lengths[number])
    while order:
        size = max(1, budget // lengths[order[0]])
        yield order[:size]
        order = order[size:]
