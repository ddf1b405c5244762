"""Models by name: what a folder must have, how large it is, and what the hub says where it is asked."""

from __future__ import annotations

import json
import os
import shutil
import struct
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

import tunelab as tl
from tunelab.jobs import prepare
from tunelab.models import find
from tunelab.registry import index
from tunelab.spec import load


def refused(call: Callable[[], Any], kind: type[tl.Error] = tl.ModelError) -> str:
    with pytest.raises(tl.Error) as caught:
        call()
    assert type(caught.value) is kind
    return str(caught.value)


@pytest.fixture
def model(workspace: Path, tiny: Path) -> Path:
    """A copy of the tiny Llama as ./tiny, to take parts from."""
    return Path(shutil.copytree(tiny, "tiny"))


def without(*names: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        for name in names:
            (folder / name).unlink()

    return change


def renamed(old: str, new: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        (folder / old).rename(folder / new)

    return change


def holding(name: str, data: bytes) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        (folder / name).write_bytes(data)

    return change


def configured(**values: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | values))

    return change


def safetensors(header: Any) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text


def only_adapter(folder: Path) -> None:
    without("config.json", "model.safetensors")(folder)
    holding("adapter_config.json", b"{}")(folder)
    holding("adapter_model.safetensors", safetensors({}))(folder)


def broken_tokenizer_config(folder: Path) -> None:
    # What newer versions keep in a file of its own, older ones have in there.
    (folder / "chat_template.jinja").unlink(missing_ok=True)
    (folder / "tokenizer_config.json").write_text("{")


SAVE = "Save it with model.save_pretrained(…)."
WEIGHTS = "tiny/model.safetensors is not a safetensors file: "
NO_SHAPES = f"{WEIGHTS}its header lists no tensors with shapes."
FOLDERS: dict[str, tuple[Callable[[Path], None], str]] = {
    "no config": (without("config.json"), "./tiny has no config.json, so it is not a model folder."),
    "no tokenizer": (
        without("tokenizer.json"),
        "./tiny has no tokenizer (tokenizer.json or tokenizer.model). Save it there: tokenizer.save_pretrained(…).",
    ),
    "no weights": (without("model.safetensors"), f"./tiny has no weights as *.safetensors. {SAVE}"),
    "only .bin": (
        renamed("model.safetensors", "pytorch_model.bin"),
        "./tiny has no weights as *.safetensors; pytorch_model.bin is not loaded, since it may run code or is not in a "
        f"trainable format. {SAVE}",
    ),
    "an adapter alone": (
        only_adapter,
        "./tiny is an adapter without its base. Name a full model, or a custom model NAME@VERSION.",
    ),
    "broken config": (
        holding("config.json", b"{"),
        "./tiny: config.json cannot be read: Expecting property name enclosed in double quotes: line 1 column 2 (char "
        "1).",
    ),
    "config of a list": (holding("config.json", b"[]"), "./tiny: config.json holds no settings by name."),
    "another kind of model": (
        configured(architectures=["BertModel"]),
        "./tiny is BertModel, not a causal language model.",
    ),
    "needs code": (
        configured(auto_map={"AutoModel": "x.Y"}, model_type=None),
        "./tiny needs Python code of its own (auto_map), which tunelab never runs.",
    ),
    "empty weights": (holding("model.safetensors", b""), f"{WEIGHTS}unpack requires a buffer of 8 bytes."),
    "weights cut off": (
        holding("model.safetensors", struct.pack("<Q", 10_000) + b"{"),
        f"{WEIGHTS}its header is longer than the file.",
    ),
    "a header that is no JSON": (
        holding("model.safetensors", safetensors(b"{nope}")),
        f"{WEIGHTS}Expecting property name enclosed in double quotes: line 1 column 2 (char 1).",
    ),
    "a header of a list": (holding("model.safetensors", safetensors([])), NO_SHAPES),
    "a tensor without a shape": (holding("model.safetensors", safetensors({"a": {"dtype": "F32"}})), NO_SHAPES),
    "a tensor that is a number": (holding("model.safetensors", safetensors({"a": 1})), NO_SHAPES),
    "broken tokenizer_config": (
        broken_tokenizer_config,
        "tiny/tokenizer_config.json cannot be read: Expecting property name enclosed in double quotes: line 1 column 2 "
        "(char 1).",
    ),
}


@pytest.mark.parametrize(("change", "message"), FOLDERS.values(), ids=FOLDERS.keys())
def test_a_folder_that_cannot_be_trained_on_is_refused(
    model: Path, pairs: Path, change: Callable[[Path], None], message: str
) -> None:
    change(model)
    keys = {"model": "./tiny", "technique": "dpo", "dataset": "pairs.jsonl", "name": "c"}
    said = refused(lambda: tl.customize(keys))
    assert said.replace(f"{model.resolve().parent}/", "") == message
    assert tl.datasets() == []


NAMES = {
    "misspelt": ("smolm2-135m", "There is no model 'smolm2-135m'. Did you mean 'smollm2-135m'?"),
    "another case": ("SmolLM2-135M", "There is no model 'SmolLM2-135M'. Did you mean 'smollm2-135m'?"),
    "misspelt custom model": ("chaty", "There is no model 'chaty'. Did you mean 'chatty'?"),
    "far": (
        "gpt",
        "There is no model 'gpt'. A catalog name, a custom model, a local folder or a hub id (org/name).",
    ),
    "no such version": ("chatty@3", "'chatty' has no version 3; it has 1, 2."),
    "a file": (
        "weights.safetensors",
        "'weights.safetensors' is a file; a model is a folder with config.json, tokenizer and *.safetensors.",
    ),
    "a gguf": ("x.gguf", "'x.gguf' is a file; a model is a folder with config.json, tokenizer and *.safetensors."),
    "ambiguous": ("chatty-too", "'chatty-too' is a custom model and a folder. Say './chatty-too' for the folder."),
    "catalog and folder": (
        "smollm2-135m",
        "'smollm2-135m' is a catalog name and a folder. Say './smollm2-135m' for the folder.",
    ),
    "no such home": (
        "~nobody-at-all/x",
        "There is no model '~nobody-at-all/x'. A catalog name, a custom model, a local folder or a hub id (org/name).",
    ),
    "too long for a path": (
        "a" * 300,
        f"There is no model '{'a' * 300}'. A catalog name, a custom model, a local folder or a hub id (org/name).",
    ),
}


@pytest.mark.parametrize(("name", "message"), NAMES.values(), ids=NAMES.keys())
def test_a_name_that_is_no_model_is_refused(workspace: Path, name: str, message: str) -> None:
    for label, version in (("chatty", 1), ("chatty", 2), ("chatty-too", 1)):
        index.add(entry(label, version, path=str(workspace)))
    Path("weights.safetensors").touch()
    Path("chatty-too").mkdir()
    if name in find.CATALOG:
        Path(name).mkdir()
    assert refused(lambda: find.find(name)) == message


def entry(name: str, version: int, path: str, base: str = "smollm2-135m", adapter: str = "lora") -> index.Entry:
    return index.Entry(name, version, "job", "run", base, "dpo", "d@1", adapter, path, "2025-01-01")


def test_a_custom_model_is_found_with_its_base(model: Path) -> None:
    Path("adapter").mkdir()
    base = str(model.resolve())
    index.add(entry("chatty", 1, str(Path("adapter").resolve()), base))
    index.add(entry("chatty", 2, base, adapter="full"))
    index.add(entry("gone", 1, "/nowhere/adapter", base))
    first, newest = find.find("chatty@1"), find.find("chatty")
    assert (first.kind, first.version, first.base.folder) == ("custom", "chatty@1", model.resolve())
    assert (newest.version, newest.folder, newest.base) == ("chatty@2", model.resolve(), None)
    assert first.params == newest.params == find.find("./tiny").params
    assert refused(lambda: find.find("gone")) == (
        "The files of gone@1 are gone (/nowhere/adapter). Make it again from its spec, or remove it."
    )


@pytest.mark.parametrize("family", ["llama", "qwen3", "gemma3"])
def test_parameters_are_counted_as_transformers_and_peft_count_them(
    workspace: Path, tiny_models: dict[str, Path], family: str
) -> None:
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    found = find.find(str(tiny_models[family]))
    loaded = AutoModelForCausalLM.from_pretrained(tiny_models[family])
    assert found.params == sum(tensor.numel() for tensor in tensors_of(tiny_models[family]).values())
    # A head tied to the embedding is in one tensor, which transformers counts once too.
    assert found.params == loaded.num_parameters()
    assert found.has_chat_template
    for r in (1, 16):
        adapted = get_peft_model(
            AutoModelForCausalLM.from_pretrained(tiny_models[family]),
            LoraConfig(r=r, target_modules="all-linear", task_type="CAUSAL_LM"),
        )
        assert find.lora_parameters(found.config, r) == adapted.get_nb_trainable_parameters()[0]


def tensors_of(folder: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    return {name: tensor for path in folder.glob("*.safetensors") for name, tensor in load_file(path).items()}


def test_weights_in_several_files_are_summed(model: Path) -> None:
    before = find.find("./tiny").params
    header = {"__metadata__": {"format": "pt"}, "a": {"dtype": "F32", "shape": [3, 4]}, "b": {"shape": []}}
    holding("model-2.safetensors", safetensors(header))(model)
    assert find.find("./tiny").params == before + 12 + 1


SIZES = {
    "Qwen/Qwen2.5-1.5B-Instruct": 1_500_000_000,
    "HuggingFaceTB/SmolLM2-135M": 135_000_000,
    "org/model_7b_chat": 7_000_000_000,
    "org/model-v2": None,
    "org/4bit-thing": None,
}


@pytest.mark.parametrize(("name", "params"), SIZES.items())
def test_a_hub_id_says_its_size_before_it_is_downloaded(workspace: Path, name: str, params: int | None) -> None:
    assert find.find(name) == find.ModelRef(name, "hub", params=params)


def test_a_hub_model_in_the_cache_is_found_there(workspace: Path, tiny: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache" / "huggingface" / "hub" / "models--org--tiny"
    shutil.copytree(tiny, cache / "snapshots" / "abc")
    (cache / "refs").mkdir()
    (cache / "refs" / "main").write_text("abc")
    found = find.find("org/tiny")
    assert (found.kind, found.folder) == ("hub", cache / "snapshots" / "abc")
    (cache / "snapshots" / "abc" / "model.safetensors").unlink()  # a download that was broken off
    assert find.find("org/tiny") == find.ModelRef("org/tiny", "hub")


def customize_hub(hub_id: str = "org/secret", **keys: Any) -> Any:
    return tl.customize(model=hub_id, technique="dpo", dataset="pairs.jsonl", name="c", **keys)


def test_offline_the_hub_is_not_asked(workspace: Path, pairs: Path, tmp_path: Path) -> None:
    assert os.environ["HF_HUB_OFFLINE"] == "1"
    assert refused(customize_hub) == (
        f"'org/secret' is not in the hub cache ({tmp_path}/cache/huggingface/hub), and the hub cannot be reached to "
        "get it. Go online, or name a local folder."
    )
    assert not any((workspace / "jobs").iterdir())


class Hub(BaseHTTPRequestHandler):
    """A hub that answers each path with what the test put there: status, X-Error-Code and body."""

    answers: ClassVar[dict[str, tuple[int, str | None, Any]]] = {}
    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        status, code, body = self.answers.get(self.path.partition("?")[0], (404, None, {}))
        data = json.dumps(body).encode()
        self.send_response(status)
        if code:
            self.send_header("X-Error-Code", code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture
def hub(workspace: Path, pairs: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Hub]]:
    """A hub of the test's own, which tunelab's processes ask in place of the real one."""
    monkeypatch.setattr(Hub, "answers", {})
    monkeypatch.setattr(Hub, "asked", [])
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.delenv("TRANSFORMERS_OFFLINE", raising=False)
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    yield Hub
    server.shutdown()
    server.server_close()


INFO = {"id": "org/secret", "siblings": [{"rfilename": "config.json"}, {"rfilename": "model.safetensors"}]}
GATED = (
    "'org/secret' is gated: accept its licence at {hub}/org/secret, then log in with `hf auth login` or set HF_TOKEN, "
    "and try again."
)
ABSENT = (
    "The hub has no model 'org/secret' that this login may read, and there is no folder of that name. Check the name; "
    "for a private one log in with `hf auth login` or set HF_TOKEN."
)
DOWN = (
    "'org/secret' is not in the hub cache ({cache}), and the hub cannot be reached to get it. Go online, or name a "
    "local folder."
)
MODEL, AUTH = "/api/models/org/secret", "/api/models/org/secret/auth-check"
HUBS = {
    "gated, not logged in": ({MODEL: (401, "GatedRepo", {})}, GATED),
    "gated, not accepted": ({MODEL: (403, "GatedRepo", {})}, GATED),
    "gated, but described to all": ({MODEL: (200, None, INFO), AUTH: (403, "GatedRepo", {})}, GATED),
    "private or absent": ({MODEL: (401, "RepoNotFound", {})}, ABSENT),
    "absent, logged in": ({MODEL: (404, "RepoNotFound", {})}, ABSENT),
    "broken": ({MODEL: (500, None, {})}, DOWN),
    "no safetensors": (
        {MODEL: (200, None, INFO | {"siblings": [{"rfilename": "pytorch_model.bin"}]}), AUTH: (200, None, {})},
        "'org/secret' has no *.safetensors on the hub; tunelab loads no other weights.",
    ),
}


@pytest.mark.parametrize(("answers", "message"), HUBS.values(), ids=HUBS.keys())
def test_what_the_hub_refuses_is_said_before_a_start(
    hub: type[Hub], workspace: Path, tmp_path: Path, answers: dict[str, Any], message: str
) -> None:
    hub.answers.update(answers)
    said = refused(customize_hub)
    assert said == message.format(hub=os.environ["HF_ENDPOINT"], cache=tmp_path / "cache" / "huggingface" / "hub")
    assert [path.partition("?")[0] for path in hub.asked][: len(answers)] == list(answers)
    assert not any((workspace / "jobs").iterdir())


def test_a_hub_model_that_may_be_read_passes(hub: type[Hub], workspace: Path) -> None:
    hub.answers.update({MODEL: (200, None, INFO), AUTH: (200, None, {})})
    assert refused(lambda: customize_hub(split=24), tl.DataError).startswith("split: 24 holds out all 24 rows")
    assert [path.partition("?")[0] for path in hub.asked] == [MODEL, AUTH]


def test_a_wrong_hyperparameter_is_said_before_the_hub_is_asked(hub: type[Hub]) -> None:
    refused(lambda: customize_hub(hyperparameters={"learning_rate": 5}), tl.SpecError)
    assert hub.asked == []


@pytest.fixture
def huge(model: Path) -> Path:
    """The tiny model's folder with weights whose header declares 60 T parameters, in a file of a terabyte of holes."""
    shape = [60_000, 1_000_000_000]
    path = model / "model.safetensors"
    path.write_bytes(safetensors({"w": {"dtype": "F32", "shape": shape, "data_offsets": [0, 4 * shape[0] * shape[1]]}}))
    with path.open("r+b") as file:
        file.truncate(10**12)
    return model


def test_a_disk_that_cannot_hold_the_checkpoints_is_refused(huge: Path, pairs: Path, workspace: Path) -> None:
    keys = {"model": "./tiny", "technique": "dpo", "dataset": "pairs.jsonl", "name": "c", "compute": {"device": "cpu"}}
    assert find.find("./tiny").params == 60 * 10**12
    said = refused(lambda: tl.customize(keys, adapter={"type": "full"}), tl.SpecError)
    # Four checkpoints of weights and two moments in float32, and the model twice.
    needed = (4 * 3 + 2) * 4 * 60
    assert said.startswith(f"There is no space for the checkpoints: about {needed}.0 TB are needed in {workspace}, ")
    assert said.endswith(
        " are free. Make room, set TUNELAB_HOME to another disk, or train an adapter with a smaller r."
    )
    assert not any((workspace / "jobs").iterdir())
    half = keys | {"adapter": {"type": "full"}, "compute": {"device": "cpu", "dtype": "bfloat16"}}
    assert f"about {needed // 2}.0 TB are needed" in refused(lambda: tl.customize(half), tl.SpecError)


@pytest.mark.parametrize(("pattern", "before"), [({}, 8), ({"layers.0.self_attn.q_proj": 12}, 12)])
def test_what_is_merged_stands_in_each_checkpoint_and_in_the_model(
    model: Path, workspace: Path, pattern: dict[str, int], before: int
) -> None:
    folder = workspace / "adapter"
    folder.mkdir(parents=True)
    (folder / "adapter_config.json").write_text(json.dumps({"r": 8, "rank_pattern": pattern}))
    index.add(index.Entry("chatty", 1, "job", "r", str(model.resolve()), "sft", "d@1", "lora", str(folder), "2026"))
    keys = {"model": "chatty", "technique": "sft", "dataset": "d", "name": "c"}
    further, merged = (
        prepare.space(load.customize(keys | {"adapter": {"r": 4, "carry": carry}}), find.find("chatty"))
        for carry in ("further", "merge")
    )
    config = json.loads((model / "config.json").read_text())
    both = find.lora_parameters(config, 4 + before)
    assert further is not None and merged is not None and both is not None
    # Float32, in four checkpoints and two copies of the model; those hold the new one alone without a merge.
    assert merged - further == 4 * (4 * both + 2 * (both - find.lora_parameters(config, 4)))


def test_an_adapter_on_a_huge_model_needs_little(
    huge: Path, pairs: Path, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tunelab.jobs import manager

    monkeypatch.setattr(manager, "submit", lambda prepared: prepared)
    prepared = tl.customize(model="./tiny", technique="dpo", dataset="pairs.jsonl", name="c")
    assert prepared.spec.model == str(huge.resolve())
