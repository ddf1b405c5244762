"""MLflow holds the job's whole history, once, and gives back a model that plain libraries load."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from mlflow import MlflowClient

import tunelab as tl
from tunelab.data import Dataset
from tunelab.jobs.journal import Journal, read
from tunelab.registry import index, store, tracking

HYPERPARAMETERS = {"max_steps": 3, "per_device_train_batch_size": 4, "learning_rate": 1e-2}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, tiny: Path):
    """A workspace with one DPO job that completed."""
    root = tmp_path_factory.mktemp("registry")
    rows = (Path(__file__).parents[2] / "notebooks/data/everyday.jsonl").read_text(encoding="utf-8").splitlines()[:24]
    (root / "pairs.jsonl").write_text("\n".join(rows) + "\n", encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TUNELAB_HOME", str(root / "home"))
        patch.setenv("XDG_CACHE_HOME", str(root / "cache"))
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        job = tl.customize(
            model=str(tiny), technique="dpo", dataset=str(root / "pairs.jsonl"), name="chatty", split=4,
            hyperparameters=HYPERPARAMETERS, tracking={"experiment": "tones"},
        )  # fmt: skip
        job.wait(200, progress=False)
        assert job.state == "completed", job.logs()
        yield job


def test_the_run_has_spec_tags_dataset_and_a_true_status(trained: tl.Job) -> None:
    client = store.client()
    run = client.get_run(trained.view().run["run_id"])
    assert run.info.status == "FINISHED"
    assert run.info.run_name == trained.id
    assert client.get_experiment(run.info.experiment_id).name == "tones"
    assert client.get_experiment(run.info.experiment_id).tags["mlflow.experimentKind"] == "finetuning"
    expected = {tracking.clean(name): value for name, value in tracking.flatten(trained.spec)}
    assert set(run.data.params) == set(expected)
    assert run.data.params["hyperparameters.learning_rate"] == "0.01"
    assert run.data.params["adapter.r"] == "16"
    for tag in ("mlflow.user", "version.torch", "version.trl", "version.peft", "tunelab.device", "tunelab.platform"):
        assert run.data.tags[tag]
    (given,) = run.inputs.dataset_inputs
    dataset = Dataset.get("pairs@1")
    assert given.dataset.name == "pairs@1"
    assert dataset.digest.startswith(given.dataset.digest)
    assert {tag.key: tag.value for tag in given.tags}["tunelab.sha256"] == dataset.digest


def test_every_metric_of_the_journal_is_in_mlflow_once_with_its_time(trained: tl.Job) -> None:
    client = store.client()
    events = [event for event in read(trained.folder.journal) if event["type"] == "metric"]
    names = {name for event in events for name in event["values"]}
    assert {"loss", "rewards/margins", "eval_rewards/margins", "eval_loss", "entropy"} <= names
    for name in names:
        history = client.get_metric_history(trained.view().run["run_id"], tracking.clean(name))
        said = [e for e in events if e["values"].get(name) is not None]
        # `epoch` stands beside the trained and the held-out values of a step: the first word counts.
        first = {e["step"]: (e["step"], e["values"][name], int(e["time"] * 1000)) for e in reversed(said)}
        assert [(m.step, m.value, m.timestamp) for m in history] == sorted(first.values())


def test_syncing_and_registering_again_writes_nothing_twice(trained: tl.Job) -> None:
    client = store.client()
    run_id = trained.view().run["run_id"]
    before = client.get_metric_history(run_id, "loss")
    tracker = tracking.RunTracker(trained.folder, Journal(trained.folder.journal, "runner"))
    tracker.start()
    tracker.sync()
    tracker.register()
    assert client.get_metric_history(run_id, "loss") == before
    assert len(client.search_model_versions("name='chatty'")) == 1


def test_the_model_version_points_to_adapter_tokenizer_template_and_spec(trained: tl.Job) -> None:
    (version,) = store.client().search_model_versions("name='chatty'")
    assert (version.version, version.run_id) in ((1, trained.view().run["run_id"]), ("1", trained.view().run["run_id"]))
    folder = store.local_path(version.source)
    assert folder is not None
    files = {path.name for path in folder.iterdir()}
    assert {
        "adapter_model.safetensors",
        "adapter_config.json",
        "tokenizer.json",
        "chat_template.jinja",
        "tunelab.yaml",
    } <= files
    assert not [name for name in files if name.endswith((".bin", ".pt", ".pkl", ".pth"))]


def test_the_index_can_be_rebuilt_from_mlflow(trained: tl.Job) -> None:
    before = index.entries()
    index.replace([])
    assert tl.models().rows() == []
    assert tl.models(refresh=True).rows()[0]["model"] == "chatty@1"
    assert index.entries() == before


@pytest.mark.parametrize("merged", [False, True], ids=["adapter", "merged"])
def test_an_export_loads_with_plain_transformers_and_peft_and_answers_alike(
    trained: tl.Job, tiny: Path, tmp_path: Path, merged: bool
) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    target = tl.model("chatty@1").export(tmp_path / "out", merged=merged)
    base = AutoModelForCausalLM.from_pretrained(target if merged else tiny)
    model = base if merged else PeftModel.from_pretrained(base, target)
    tokenizer = AutoTokenizer.from_pretrained(target)
    prompt = "How do I keep basil alive?"
    inputs = tokenizer.apply_chat_template(
        [{"role": "user", "content": prompt}], add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    output = model.generate(**inputs, max_new_tokens=12, do_sample=False)
    text = tokenizer.decode(output[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
    answers = tl.generate(
        ["chatty@1", str(tiny)], [prompt, "Why is the sky blue, and is it so everywhere?"], max_new_tokens=12
    )
    assert answers["chatty@1"][0] == text
    assert answers["chatty@1"] != answers[str(tiny)]
    with pytest.raises(tl.ModelError, match="is not empty"):
        tl.model("chatty").export(tmp_path / "out")


def test_answers_do_not_depend_on_their_neighbours_in_the_batch(trained: tl.Job, tiny: Path) -> None:
    prompts = ["Why?", "How do I keep basil alive on a window sill that gets no sun until noon?", "What is tea?"]
    together = tl.generate(["chatty", str(tiny)], prompts, max_new_tokens=8)
    for prompt in prompts:
        alone = tl.generate(["chatty", str(tiny)], prompt, max_new_tokens=8)
        assert [row[1] for row in alone] == [{m: together[m][prompts.index(prompt)] for m in together.models}]
    # A conversation of one turn is a question; one of more is asked whole.
    turns = [[{"role": "user", "content": prompts[0]}], [{"role": "system", "content": "Hm."}]]
    asked = tl.generate("chatty", [turns[0], [*turns[1], *turns[0]]], max_new_tokens=8)
    assert asked[asked.models[0]][0] == together[together.models[0]][0]
    assert asked.prompts == ["Why?", "system: Hm.\nuser: Why?"]
    for wrong, message in (([], "Prompt 1 is empty."), ([{"role": "user"}], "Prompt 1 is not text."), (3, "not text")):
        with pytest.raises(tl.SpecError, match=message):
            tl.generate("chatty", [wrong])


@pytest.mark.parametrize(
    ("name", "message"),
    [("chaty", "Did you mean 'chatty'?"), ("chatty@9", "'chatty' has no version 9; it has 1."), ("zzz", "tl.models()")],
)
def test_a_custom_model_that_is_not_there(trained: tl.Job, name: str, message: str) -> None:
    with pytest.raises(tl.ModelError) as refused:
        tl.model(name)
    assert message in str(refused.value)


def test_no_secret_reaches_journal_spec_or_mlflow(
    workspace: Path, tiny: Path, answers: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_topsecret")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-topsecret")
    job = tl.customize(
        model=str(tiny), technique="sft", dataset=str(answers), name="quiet", split=4, hyperparameters=HYPERPARAMETERS
    ).wait(120, progress=False)
    assert job.state == "completed", job.logs()
    holding = [p for p in workspace.rglob("*") if p.is_file() and b"topsecret" in p.read_bytes()]
    assert holding == []


@pytest.fixture
def server(tmp_path: Path):
    """An MLflow server on the loopback address, with artifacts that only it can reach."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += [
        "--backend-store-uri",
        f"sqlite:///{tmp_path}/server.db",
        "--artifacts-destination",
        str(tmp_path / "far"),
    ]
    with (tmp_path / "server.log").open("wb") as log:
        process = subprocess.Popen(
            command,
            stdout=log,
            stderr=log,
            start_new_session=True,
            env=os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
        )
    url = f"http://127.0.0.1:{port}"
    until = time.monotonic() + 90
    while True:
        try:
            urllib.request.urlopen(f"{url}/health", timeout=2).close()
            break
        except OSError:
            assert time.monotonic() < until, (tmp_path / "server.log").read_text()
            time.sleep(0.2)
    yield url
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def test_runs_and_models_go_where_the_tracking_uri_points(
    workspace: Path, tiny: Path, answers: Path, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    job = tl.customize(
        model=str(tiny), technique="sft", dataset=str(answers), name="away", split=4, hyperparameters=HYPERPARAMETERS
    ).wait(120, progress=False)
    assert job.state == "completed", job.logs()
    client = MlflowClient(server)
    (version,) = client.search_model_versions("name='away'")
    assert client.get_run(version.run_id).info.status == "FINISHED"
    assert {file.path for file in client.list_artifacts(version.run_id, "model")} >= {"model/adapter_model.safetensors"}
    assert not (workspace / "mlflow.db").exists()
    # The server's files are out of reach here, so the model is loaded from the job's folder, which stays therefore.
    assert tl.model("away").path == job.folder.adapter
    with pytest.raises(tl.JobError, match="holds the only files of away@1"):
        tl.jobs().remove(job.id)


def test_two_first_clients_at_once_make_one_store(workspace: Path) -> None:
    code = "from tunelab.registry import store; c = store.client(); print(store.experiment(c, 'tunelab'))"
    clients = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    ids = []
    for client in clients:
        out, err = client.communicate(timeout=120)
        assert client.returncode == 0, err
        ids.append(out.strip())
    assert len(set(ids)) == 1


def test_a_password_in_the_tracking_uri_is_not_kept(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tunelab.jobs.prepare import tracking_uri

    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://ann:topsecret@mlflow.example:5000/x")
    assert tracking_uri() == "https://mlflow.example:5000/x"
    assert "topsecret" not in json.dumps(tracking_uri())
