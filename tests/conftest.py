"""Real parts made small: a workspace of its own, and random-weight models of real families that train in seconds."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

REPOSITORY = Path(__file__).parents[1]
SAMPLES = REPOSITORY / "notebooks" / "data"

# Nothing in the tests may reach out: a hub is a server of the test's own.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
# Threads that wait sleep: jobs stand beside a browser, a server and the tests themselves, on few cores.
os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
os.environ["HF_DATASETS_DISABLE_PROGRESS_BARS"] = "1"

# Tests that run beside each other keep to a core each, and so do their jobs: threads that wait for each other are slow.
if sys.platform == "linux" and (worker := os.environ.get("PYTEST_XDIST_WORKER")):
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[int(worker.removeprefix("gw")) % len(cores)]})

CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty workspace, a device queue of its own, and a working directory; a test that fails leaves no job."""
    home = tmp_path / "home"
    monkeypatch.setenv("TUNELAB_HOME", str(home))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    yield home
    _look_no_more()
    jobs = {path.name for path in tmp_path.glob("**/jobs/*-*")}
    for process in psutil.process_iter(["cmdline"]) if jobs else ():
        # A runner before its worker, so that it starts no other.
        if jobs & {*(process.info["cmdline"] or ())}:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()


def _look_no_more() -> None:
    """Take away what this test left on show: what looks at jobs also revives them, in the next test's workspace too."""
    live = sys.modules.get("tunelab.notebook.live")
    if live is None:
        return
    for thing in list(live._watched):
        thing._views.clear()
    with live._guard:
        live._watched.clear()
        thread = live._thread
    if thread:
        thread.join(10)


@pytest.fixture(scope="session")
def tiny_models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders of tiny models with random weights, by family, each with tokenizer and chat template."""
    import torch
    from transformers import AutoModelForCausalLM, Gemma3TextConfig, GPTNeoXConfig, LlamaConfig, Qwen3Config

    root = tmp_path_factory.mktemp("models")
    tokenizer = _tokenizer()
    shape = {
        "vocab_size": len(tokenizer),
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "max_position_embeddings": 512,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    neox = {name: value for name, value in shape.items() if name not in ("num_key_value_heads", "head_dim")}
    configs = {
        "llama": LlamaConfig(**shape),
        "qwen3": Qwen3Config(**shape),
        "gemma3": Gemma3TextConfig(**shape),
        "gpt-neox": GPTNeoXConfig(**neox),
    }
    folders = {}
    for family, config in configs.items():
        torch.manual_seed(0)
        folders[family] = root / family
        AutoModelForCausalLM.from_config(config, dtype=torch.float32).save_pretrained(folders[family])
        tokenizer.save_pretrained(folders[family])
    return folders


@pytest.fixture(scope="session")
def tiny(tiny_models: dict[str, Path]) -> Path:
    """The folder of a tiny Llama."""
    return tiny_models["llama"]


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    """A file of 24 real rows for DPO."""
    return _first_rows("everyday.jsonl", tmp_path / "work" / "pairs.jsonl")


@pytest.fixture
def answers(tmp_path: Path) -> Path:
    """A file of 24 real rows for SFT."""
    return _first_rows("reminders.jsonl", tmp_path / "work" / "answers.jsonl")


#: What a job may become from each state; from an end, nothing.
LEGAL = {
    "queued": {"queued", "running", "paused", "cancelled", "failed"},
    "running": {"recovering", "paused", "completed", "failed", "cancelled"},
    "recovering": {"running", "paused", "failed", "cancelled"},
    "paused": {"queued", "cancelled"},
}


@pytest.fixture(scope="session")
def is_legal() -> Callable[[list[str]], bool]:
    """Tells whether a journal's states are a path that a job may take."""
    return lambda states: (
        states[:1] == ["queued"]
        and all(after in LEGAL.get(before, set()) for before, after in itertools.pairwise(states))
    )


@pytest.fixture(scope="session")
def mlflow_at() -> type[MLflowServer]:
    """Makes an MLflow server on a folder."""
    return MLflowServer


class MLflowServer:
    """An MLflow server on a port of this machine that can be killed and started again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.uri = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; it answers some seconds later."""
        command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(self.port)]
        command += ["--workers", "1", "--backend-store-uri", f"sqlite:///{self.folder}/mlflow.db"]
        command += ["--default-artifact-root", (self.folder / "artifacts").as_uri()]
        quiet = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "DO_NOT_TRACK": "true"}
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                command, env=os.environ | quiet, stdout=log, stderr=log, start_new_session=True
            )

    def kill(self) -> None:
        """Kill it with all its processes."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


def _first_rows(sample: str, path: Path, count: int = 24) -> Path:
    path.parent.mkdir(exist_ok=True)
    lines = (SAMPLES / sample).read_text(encoding="utf-8").splitlines()[:count]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _tokenizer():
    """A byte-level BPE tokenizer of 512 tokens, learned from the sample data."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=512,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    core.train_from_iterator(_texts(), trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core, bos_token="<|im_start|>", eos_token="<|im_end|>", pad_token="<|endoftext|>"
    )
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


def _texts() -> Iterator[str]:
    for line in (SAMPLES / "everyday.jsonl").read_text(encoding="utf-8").splitlines():
        yield from json.loads(line).values()
