"""Answers of many models: transformers' own, however they are batched; one base in memory; none generated twice."""

from __future__ import annotations

import json
import math
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
from judge_server import Answer as Reply
from judge_server import JudgeServer
from transformers import AutoModelForCausalLM, AutoTokenizer

import tunelab as tl
from tunelab.evaluation import local
from tunelab.evaluation.answers import Answer, answer
from tunelab.evaluation.decoding import Decoder
from tunelab.evaluation.kept import Kept
from tunelab.jobs.context import Stopped
from tunelab.models import load
from tunelab.registry import index
from tunelab.scoring.score import Unreachable
from tunelab.spec.evaluate import EndpointModel, Generation

PROMPTS = ["Hi!", "What is tea, and why do so many people drink it in the morning?", "Why?", "Tell me about rain. " * 6,
           "Do you like the sea?", "What is 7 · 6?", "Hi there!"]  # fmt: skip
#: Tokens that end an answer, besides the tokenizer's.
ENDS = range(3, 512, 16)
#: Tokens of an answer: more than a small window, fewer than the others.
TOKENS = 14


@pytest.fixture(scope="session")
def sharp(tiny_models: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The tiny models with larger weights, so that a wrong token shows, and with many tokens that end an answer."""
    root = tmp_path_factory.mktemp("sharp")
    for family, folder in tiny_models.items():
        shutil.copytree(folder, root / family)
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
        with torch.no_grad():
            for name, weight in model.named_parameters():
                is_tied = family == "gemma3" and "embed" in name
                weight.mul_(8 if weight.dim() == 2 and not is_tied else 1)
        model.generation_config.eos_token_id = [model.config.eos_token_id, *ENDS]
        model.save_pretrained(root / family)
    changed(root, "gemma3", "window", "config.json", sliding_window=16)
    changed(root, "llama", "penalty", "generation_config.json", repetition_penalty=1.3)
    changed(root, "llama", "no-repeat", "generation_config.json", no_repeat_ngram_size=2)
    return {path.name: path for path in root.iterdir()}


def changed(root: Path, family: str, name: str, file: str, **settings: Any) -> None:
    """Copy a model's folder with other settings in one of its files."""
    shutil.copytree(root / family, root / name)
    path = root / name / file
    path.write_text(json.dumps(json.loads(path.read_text()) | settings))


def put_on(base: Path, name: str, seed: int = 0, **settings: Any) -> None:
    """Register an adapter with random weights as ``name@1``."""
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    config = peft.LoraConfig(
        r=4, target_modules="all-linear", init_lora_weights=False, task_type="CAUSAL_LM", **settings
    )
    folder = Path(name).resolve()
    peft.get_peft_model(model, config).save_pretrained(folder)
    AutoTokenizer.from_pretrained(base).save_pretrained(folder)
    index.add(index.Entry(name, 1, "job", "run", str(base), "dpo", "d@1", "lora", str(folder), "2025-01-01"))


def theirs(model: Any, folder: Path, prompt: str, tokens: int = TOKENS) -> tuple[str, int, int, bool]:
    """Return transformers' greedy answer to a prompt alone, the tokens read and written, and whether it was cut."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    turns = [{"role": "user", "content": prompt}]
    ids = tokenizer.apply_chat_template(turns, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    out = model.generate(**ids, max_new_tokens=tokens, do_sample=False)[0, ids["input_ids"].shape[1] :]
    cut = int(out[-1]) not in (tokenizer.eos_token_id, *ENDS)
    return tokenizer.decode(out, skip_special_tokens=True), ids["input_ids"].shape[1], len(out), cut


def ask(*models: Any, prompts: list[Any] = PROMPTS, seed: int = 0, **settings: Any) -> list[list[Answer]]:
    given = {name: settings.pop(name) for name in ("say", "progress", "stop", "dtype") if name in settings}
    generation = Generation(**({"max_new_tokens": TOKENS, "batch_size": 3} | settings))
    return list(answer([str(one) if isinstance(one, Path) else one for one in models], prompts, generation, seed,
                       "cpu", threads=1, **given).values())  # fmt: skip


def texts(answers: list[Answer]) -> list[str]:
    return [one.text for one in answers]


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The folders of which weights were loaded."""
    found: list[Path] = []
    plain = load.base_model

    def noted(folder: Path, *rest: Any, **options: Any) -> Any:
        found.append(folder)
        return plain(folder, *rest, **options)

    monkeypatch.setattr(load, "base_model", noted)
    return found


@pytest.fixture
def batches(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Rows of each batch that went by transformers' `generate`."""
    found: list[int] = []
    plain = Decoder._in_batches

    def noted(self: Decoder, asks: Any, order: list[int]) -> Any:
        found.append(len(order))
        return plain(self, asks, order)

    monkeypatch.setattr(Decoder, "_in_batches", noted)
    return found


@pytest.mark.parametrize("size", [2, 16])
@pytest.mark.parametrize(
    ("family", "in_slots"),
    [("llama", True), ("qwen3", True), ("gemma3", True), ("gpt-neox", True), ("penalty", True), ("window", False),
     ("no-repeat", False)],
)  # fmt: skip
def test_greedy_answers_are_those_of_transformers_one_by_one(
    workspace: Path, sharp: dict[str, Path], batches: list[int], family: str, in_slots: bool, size: int
) -> None:
    (found,) = ask(sharp[family], batch_size=size)
    model = AutoModelForCausalLM.from_pretrained(sharp[family], dtype=torch.float32)
    wanted = [theirs(model, sharp[family], prompt) for prompt in PROMPTS]
    assert [(one.text, one.tokens_in, one.tokens_out, one.cut) for one in found] == wanted
    # Some end early, and some do not.
    assert len({length for _, _, length, _ in wanted}) > 1 and any(cut for *_, cut in wanted)
    assert all(one.status == "scored" and one.latency_s > 0 for one in found)
    assert bool(batches) is not in_slots


@pytest.mark.parametrize("settings", [{}, {"use_dora": True}, {"lora_bias": True}], ids=["lora", "dora", "bias"])
def test_adapters_answer_as_peft_has_them_on_one_base(
    workspace: Path, sharp: dict[str, Path], loads: list[Path], settings: dict[str, Any]
) -> None:
    base = sharp["llama"]
    put_on(base, "one", 1, **settings)
    put_on(base, "two", 2)
    found = ask("one@1", base, "two@1")
    assert loads == [base]
    for name, answers in zip(("one", None, "two"), found, strict=True):
        model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
        if name is not None:
            model = peft.PeftModel.from_pretrained(model, name)
        assert texts(answers) == [theirs(model, base, prompt)[0] for prompt in PROMPTS]
    assert len({tuple(texts(answers)) for answers in found}) == 3


def test_an_adapter_is_put_on_the_same_weights_in_memory(workspace: Path, sharp: dict[str, Path]) -> None:
    put_on(sharp["llama"], "one")
    bases = local.Bases(local.Place("cpu", "float32"), lambda _: None)
    candidates = [local.Candidate(name, lambda _: None) for name in (str(sharp["llama"]), "one@1")]

    def places(candidate: local.Candidate) -> set[int]:
        with bases.model(candidate) as model:
            return {weight.data_ptr() for name, weight in model.named_parameters() if "lora" not in name}

    base, adapted, again = (places(candidates[number]) for number in (0, 1, 0))
    assert base == adapted == again and len(base) > 10


def test_another_base_takes_the_place_of_the_one_before(
    workspace: Path, sharp: dict[str, Path], loads: list[Path]
) -> None:
    put_on(sharp["llama"], "one")
    found = ask(sharp["llama"], sharp["qwen3"], "one@1")
    assert loads == [sharp["llama"], sharp["qwen3"]]
    assert [texts(answers) for answers in found] == [
        texts(ask(name)[0]) for name in (sharp["llama"], sharp["qwen3"], "one@1")
    ]


@pytest.mark.parametrize("family", ["llama", "window"])
def test_a_sampled_answer_depends_on_its_prompt_and_the_seed_alone(
    workspace: Path, sharp: dict[str, Path], family: str
) -> None:
    def sampled(prompts: list[str], seed: int = 0, size: int = 3) -> list[str]:
        shutil.rmtree(workspace / "cache", ignore_errors=True)
        return texts(ask(sharp[family], prompts=prompts, temperature=1.0, seed=seed, batch_size=size)[0])

    together = sampled(PROMPTS)
    assert sampled(PROMPTS[::-1], size=5)[::-1] == together
    assert sampled(PROMPTS[1:2]) == together[1:2]
    assert sampled(PROMPTS, seed=1) != together
    first, second = sampled([PROMPTS[1]] * 2)
    assert first == together[1] and second != first


@pytest.mark.parametrize(("family", "temperature"), [("llama", 0.3), ("llama", 0.5), ("window", 0.03)])
def test_answers_are_drawn_from_the_models_own_probabilities(
    workspace: Path, tiny_models: dict[str, Path], sharp: dict[str, Path], family: str, temperature: float
) -> None:
    folder, count = sharp[family], 600
    (found,) = ask(folder, prompts=["Hi!"] * count, temperature=temperature, max_new_tokens=1, batch_size=64)
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    turns = [{"role": "user", "content": "Hi!"}]
    ids = tokenizer.apply_chat_template(turns, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    with torch.no_grad():
        shares = torch.softmax(model(**ids).logits[0, -1] / temperature, -1).tolist()
    expected: Counter[str] = Counter()
    for token, share in enumerate(shares):
        expected[tokenizer.decode([token], skip_special_tokens=True)] += count * share
    seen = Counter(texts(found))
    # Pearson's test over cells of texts that are expected 20 times together at least.
    cells = [[0.0, 0.0]]
    for text, mean in expected.most_common():
        if cells[-1][1] >= 20 and count - sum(filled for _, filled in cells) >= 20:
            cells.append([0.0, 0.0])
        cells[-1] = [cells[-1][0] + seen[text], cells[-1][1] + mean]
    statistic = sum((observed - mean) ** 2 / mean for observed, mean in cells)
    degrees = len(cells) - 1
    assert degrees >= 3
    # Five standard deviations of chi-squared above its mean.
    assert statistic < degrees + 5 * math.sqrt(2 * degrees)


def test_an_answer_is_generated_once(workspace: Path, sharp: dict[str, Path], loads: list[Path]) -> None:
    said: list[str] = []
    told: list[tuple[str, int, int]] = []
    name = str(sharp["llama"])
    (first,) = ask(name, prompts=[*PROMPTS, PROMPTS[0]], progress=lambda *one: told.append(one))
    assert told[-1] == (name, 8, 8) and first[0] == first[-1]
    told.clear()
    assert ask(name, say=said.append, progress=lambda *one: told.append(one)) == [first[:-1]]
    assert loads == [sharp["llama"]] and said == [f"{name} answers 7 prompts, 7 of them known from before"]
    assert told == [(name, 7, 7)]
    # What answers depend on makes others: settings, number format, a system turn.
    for settings in ({"max_new_tokens": 5}, {"temperature": 0.5}, {"dtype": "bfloat16"}, {"system": "Be brief."}):
        loads.clear()
        ask(name, **settings)
        assert loads == [sharp["llama"]], settings
    # And what no answer depends on does not.
    loads.clear()
    ask(name, batch_size=16, seed=9)
    ask(name, temperature=0.5, prompts=PROMPTS[::-1])
    assert loads == []


@pytest.mark.parametrize(
    "file", ["model.safetensors", "tokenizer.json", "chat_template.jinja", "generation_config.json"]
)
def test_a_model_whose_files_change_answers_anew(
    workspace: Path, sharp: dict[str, Path], loads: list[Path], file: str
) -> None:
    folder = Path("model")
    shutil.copytree(sharp["llama"], folder)
    ask("./model")
    if file == "model.safetensors":
        model = AutoModelForCausalLM.from_pretrained(folder)
        model.lm_head.weight.data *= 1.5
        model.save_pretrained(folder)
    else:
        (folder / file).write_text((folder / file).read_text() + "\n")
    ask("./model")
    assert len(loads) == 2


def test_what_had_ended_is_kept_when_it_is_stopped(
    workspace: Path, sharp: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = iter(range(1_000))
    put_on(sharp["llama"], "one")
    with pytest.raises(Stopped):
        ask(sharp["llama"], "one@1", batch_size=2, stop=lambda: next(steps) > 30)
    told: list[tuple[str, int, int]] = []
    # A batch at most is lost.
    found = ask(sharp["llama"], "one@1", progress=lambda *one: told.append(one))
    assert 2 <= told[0][1] < 7 and told[0][2] == 7
    shutil.rmtree(workspace / "cache")
    assert [texts(one) for one in ask(sharp["llama"], "one@1")] == [texts(one) for one in found]


def test_the_cache_keeps_to_its_size_and_drops_the_oldest(tmp_path: Path, workspace: Path) -> None:
    cache = Kept("x", tmp_path / "answers.sqlite", largest=200_000)
    for number in range(40):
        cache.keep({str(number): Answer("a" * 10_000)})
    kept = [int(prompt) for prompt in cache.find(map(str, range(40)))]
    assert 0 < len(kept) < 21 and max(kept) == 39 and min(kept) > 10
    assert Kept("y", cache.path).find(["39"]) == {}
    cache.path.write_bytes(b"no database, " * 1000)
    with pytest.raises(tl.Error, match=r"answers\.sqlite cannot be used .*move the file"):
        cache.find(["39"])


CONVERSATION = [
    {"role": "user", "content": "Hi"},
    {"role": "assistant", "content": "Yes?"},
    {"role": "user", "content": "Why?"},
]
NO_SYSTEM = (
    "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no system turns') }}{% endif %}{% endfor %}Q"
)


@pytest.mark.parametrize(
    ("prompt", "template", "note"),
    [
        ("", None, "the prompt is empty"),
        ([], None, "the prompt is empty"),
        ([{"role": "user", "content": " \n"}], None, "the prompt is empty"),
        ("x " * 600, None, "the prompt has 1,212 tokens, and {name} reads 512 with its answer"),
        (CONVERSATION, "", "{name} has no chat template, and this is a conversation: give it as text"),
        ([{"role": "system", "content": "Hm."}, {"role": "user", "content": "Hi"}], NO_SYSTEM,
         "the chat template of {name} does not take it: no system turns"),
    ],
)  # fmt: skip
def test_a_prompt_that_cannot_be_asked_fails_alone(
    workspace: Path, sharp: dict[str, Path], prompt: Any, template: str | None, note: str
) -> None:
    folder = Path("model")
    shutil.copytree(sharp["llama"], folder)
    if template is not None:
        (folder / "chat_template.jinja").write_text(template)
    if template == "":
        (folder / "chat_template.jinja").unlink()
    told: list[tuple[str, int, int]] = []
    (found,) = ask("./model", prompts=["Hi!", prompt, "Why?"], progress=lambda *one: told.append(one))
    assert [one.status for one in found] == ["scored", "failed", "scored"] and told[-1] == ("./model", 3, 3)
    assert (found[1].note, found[1].text) == (note.format(name="./model"), "")
    assert texts(ask("./model", prompts=["Hi!", "Why?"])[0]) == [found[0].text, found[2].text]


def test_a_model_that_can_be_asked_nothing_is_refused(workspace: Path, sharp: dict[str, Path]) -> None:
    shutil.copytree(sharp["llama"], "model")
    Path("model/chat_template.jinja").write_text(NO_SYSTEM)
    with pytest.raises(tl.ModelError) as refused:
        ask("./model", system="Be brief.")
    assert str(refused.value) == (
        "./model can be asked none of the prompts: the chat template of ./model does not take it: no system turns."
    )
    with pytest.raises(tl.ModelError, match="There is no model 'nothing'"):
        ask("./model", "nothing")


def test_an_answer_ends_where_the_context_does(workspace: Path, sharp: dict[str, Path]) -> None:
    changed(sharp["llama"].parent, "llama", "endless", "generation_config.json", eos_token_id=None)
    folder = sharp["llama"].parent / "endless"
    (found,) = ask(folder, prompts=["x " * 245, "Hi!"], max_new_tokens=40)
    assert found[0].tokens_in + found[0].tokens_out == 512 or not found[0].cut
    assert found[0].status == "scored" and found[1].tokens_out <= 40


def test_a_system_turn_is_the_settings_or_the_rows_own(workspace: Path, sharp: dict[str, Path]) -> None:
    own = [{"role": "system", "content": "Be long."}, {"role": "user", "content": "Hi!"}]
    whole, mixed = ask(sharp["llama"], prompts=["Hi!", own], system="Be brief.")[0]
    assert whole.text != mixed.text
    assert texts(ask(sharp["llama"], prompts=[own])[0]) == [mixed.text]
    given = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi!"}]
    assert texts(ask(sharp["llama"], prompts=[given])[0]) == [whole.text]


def test_a_model_that_was_trained_without_template_is_asked_without(workspace: Path, sharp: dict[str, Path]) -> None:
    put_on(sharp["llama"], "plain")
    with_template = texts(ask("plain@1")[0])
    Path("plain/tunelab.yaml").write_text("chat_template: none\n")
    (found,) = ask("plain@1")
    tokenizer = AutoTokenizer.from_pretrained("plain")
    assert [one.tokens_in for one in found] == [len(tokenizer(prompt)["input_ids"]) for prompt in PROMPTS]
    assert texts(found) != with_template


# Endpoints


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., JudgeServer]]:
    """Starts a server that answers as planned."""
    monkeypatch.setenv("BIG_KEY", "sk-secret")
    servers: list[JudgeServer] = []

    def start(plan: Callable[[int, dict[str, Any]], Reply]) -> JudgeServer:
        servers.append(JudgeServer(plan))
        servers[-1].start()
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


def big(server: JudgeServer, **settings: Any) -> EndpointModel:
    return EndpointModel(name="big", model="big-1", base_url=server.url, api_key="BIG_KEY", **settings)


def echo(_: int, asked: dict[str, Any]) -> Reply:
    return Reply(f"{asked['messages'][-1]['content']}!")


def test_an_endpoint_answers_beside_a_local_model(
    workspace: Path, sharp: dict[str, Path], serve: Callable[..., JudgeServer]
) -> None:
    server = serve(echo)
    told: list[tuple[str, int, int]] = []
    settings = {"system": "Be brief.", "temperature": 0.5, "seed": 3, "progress": lambda *one: told.append(one)}
    mine, found = ask(sharp["llama"], big(server, price_in=2.0, price_out=10.0), prompts=["Hi", "", "Why?"], **settings)
    assert texts(found) == ["Hi!", "", "Why?!"] and found[1].note == "the prompt is empty"
    assert len(mine) == 3 and mine[0].cost is None
    assert [(one.tokens_in, one.tokens_out, one.cost) for one in found] == [
        (100, 10, 3e-4),
        (0, 0, 0.0),
        (100, 10, 3e-4),
    ]
    assert ("big", 3, 3) in told
    asked = next(one for one in server.requests if one["messages"][-1]["content"] == "Hi")
    assert asked == {
        "model": "big-1",
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}],
        "max_tokens": TOKENS,
        "temperature": 0.5,
        "seed": 3,
    }
    assert set(server.keys) == {"Bearer sk-secret"}
    # Known from before, and priced anew.
    (again,) = ask(big(server, price_in=4.0), prompts=["Hi"], system="Be brief.", temperature=0.5, seed=3)
    assert again[0].cost == 4e-4 and len(server.requests) == 2
    for file in (workspace / "cache").iterdir():
        assert b"sk-secret" not in file.read_bytes()


def test_an_endpoint_is_asked_many_at_a_time_and_again(
    workspace: Path, serve: Callable[..., JudgeServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    def plan(number: int, asked: dict[str, Any]) -> Reply:
        if number in (2, 5):
            return Reply(status=429, headers={"retry-after": "0"})
        if asked["messages"][-1]["content"] == "7":
            return Reply(status=400)
        return Reply(echo(number, asked).text, seconds=0.05, finish_reason="length" if number == 9 else "stop")

    server = serve(plan)
    (found,) = ask(big(server, concurrency=5), prompts=[str(number) for number in range(20)])
    assert texts(found) == [f"{number}!" if number != 7 else "" for number in range(20)]
    assert found[7].status == "failed" and "refuses the request (status 400" in found[7].note
    assert "sk-secret" not in found[7].note and sum(one.cut for one in found) == 1
    assert 2 <= server.most_at_once <= 5
    asked = len(server.requests)
    # Only what failed is asked again: as before, and without seed, temperature and max_tokens.
    ask(big(server, concurrency=5), prompts=[str(number) for number in range(20)])
    assert len(server.requests) == asked + 4


def test_what_an_endpoint_does_not_take_is_left_out(workspace: Path, serve: Callable[..., JudgeServer]) -> None:
    def plan(number: int, asked: dict[str, Any]) -> Reply:
        for name in ("temperature", "max_tokens"):
            if name in asked:
                wanted = "max_completion_tokens" if name == "max_tokens" else name
                return Reply(status=400, body=json.dumps({"error": {"message": f"use {wanted}"}}))
        return echo(number, asked)

    server = serve(plan)
    (found,) = ask(big(server, concurrency=1), prompts=["a", "b"])
    assert texts(found) == ["a!", "b!"]
    assert "temperature" not in server.requests[-1] and server.requests[-1]["max_completion_tokens"] == TOKENS
    assert len(server.requests) == 4


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (401, "does not take the key in the environment variable BIG_KEY (status 401)"),
        (404, "has no such model or no such address (status 404)"),
        (402, "wants to be paid first: the account has no credit left (status 402)"),
        (503, "answers with status 503; it was asked once"),
    ],
)
def test_an_endpoint_that_goes_away_pauses_and_keeps_what_it_said(
    workspace: Path, serve: Callable[..., JudgeServer], status: int, said: str
) -> None:
    is_up = False
    server = serve(lambda number, asked: echo(number, asked) if number <= 6 or is_up else Reply(status=status))
    prompts = [str(number) for number in range(20)]
    model = big(server, concurrency=2, retries=0)
    with pytest.raises(Unreachable) as gone:
        ask(model, prompts=prompts)
    assert str(gone.value) == f"big (big-1 at {server.url}) {said}."
    before = len(server.requests)
    assert before < 12
    is_up = True
    assert texts(ask(model, prompts=prompts)[0]) == [f"{prompt}!" for prompt in prompts]
    assert len(server.requests) == before + 14


def test_an_endpoint_is_left_when_it_is_stopped(workspace: Path, serve: Callable[..., JudgeServer]) -> None:
    server = serve(lambda number, asked: Reply(echo(number, asked).text, seconds=0 if number <= 3 else 3))
    with pytest.raises(Stopped):
        ask(big(server, concurrency=1), prompts=[str(number) for number in range(9)],
            stop=lambda: len(server.requests) > 3)  # fmt: skip
    assert len(server.requests) == 4
    told: list[tuple[str, int, int]] = []
    ask(big(server), prompts=["0", "1", "2"], progress=lambda *one: told.append(one))
    assert told == [("big", 3, 3)]


@pytest.mark.parametrize(
    ("key", "url", "said"),
    [
        ("a\nb", "http://127.0.0.1:9/v1", "the key in the environment variable BIG_KEY has characters that no key has"),
        ("sk", "http://127.0.0.1:9/v1", r"cannot be reached \(.*\); it was asked once"),
    ],
)
def test_an_endpoint_that_cannot_be_asked_pauses(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, key: str, url: str, said: str
) -> None:
    monkeypatch.setenv("BIG_KEY", key)
    model = EndpointModel(name="big", model="big-1", base_url=url, api_key="BIG_KEY", retries=0)
    with pytest.raises(Unreachable, match=said):
        ask(model, prompts=["a", "b"])
