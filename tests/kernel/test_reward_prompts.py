"""Reward prompts: versions that never change, templates refused before they are used, text that stays text."""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.tracing.utils.prompt import update_linked_prompts_tag

import tunelab as tl
from tunelab import task
from tunelab.jobs import folder as folders
from tunelab.jobs.journal import Journal
from tunelab.jobs.prepare import prepare
from tunelab.registry import prompt_store, store, tracking
from tunelab.registry import prompts as index
from tunelab.scoring.score import Case
from tunelab.spec import load

WARM = "Is this warm? {{ prompt }} {{ completion }}"


def test_versions_are_kept_in_mlflow_and_found_again(workspace: Path) -> None:
    first = tl.RewardPrompt.create("warm", WARM)
    assert (str(first), str(tl.RewardPrompt.create("warm", WARM))) == ("warm@1", "warm@1")
    second = tl.RewardPrompt.create("warm", WARM + " Say so.")
    assert str(second) == "warm@2"
    assert tl.RewardPrompt.get("warm") == second and tl.RewardPrompt.get("warm@1") == first
    assert [str(prompt) for prompt in tl.reward_prompts()][-2:] == ["warm@1", "warm@2"]
    client = MlflowClient(os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{workspace}/mlflow.db")
    assert client.get_prompt_version("tunelab.reward.warm", 1).template == WARM
    before = index.entries()
    (workspace / "prompts.json").unlink()
    assert task.run("tunelab.registry.prompt_store:rebuild_index", {}) == {"versions": 2}
    assert [(one.name, one.version, one.template) for one in index.entries()] == [
        (one.name, one.version, one.template) for one in before
    ]


def test_a_text_is_one_version_whatever_else_is_done_to_the_registry(workspace: Path) -> None:
    client = store.client()
    assert [prompt_store.ensure(client, "warm", f"{WARM} {n}") for n in (1, 2, 3)] == [1, 2, 3]
    client.delete_prompt_version("tunelab.reward.warm", "1")
    client.register_prompt("tunelab.reward.warm", [{"role": "user", "content": "no text"}])
    assert prompt_store.ensure(client, "warm", f"{WARM} 3") == 3
    clients = [store.client() for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        made = pool.map(lambda other: prompt_store.ensure(other, "cold", WARM), clients)
        assert set(made) == {1}, "jobs that begin together make one"
    prompt_store.ensure(client, "helpful", tl.RewardPrompt.get("helpful").template)
    listed = [str(prompt) for prompt in tl.reward_prompts(refresh=True)]
    assert listed == [
        *("concise@1", "faithful@1", "format@1", "helpful@1", "human_like@1"),
        *("cold@1", "warm@2", "warm@3"),
    ]


def test_a_job_s_run_shows_its_reward_prompts(workspace: Path, tiny: Path) -> None:
    rows = "\n".join(json.dumps({"prompt": f"Say {n}."}) for n in range(8))
    Path("rows.jsonl").write_text(rows, encoding="utf-8")
    tl.RewardPrompt.create("warm", WARM)
    endpoint = {"model": "judge", "base_url": "http://127.0.0.1:9/v1"}
    spec = load.customize({
        "name": "kind", "technique": "rlaif", "model": str(tiny), "dataset": "rows.jsonl", "split": 0,
        "reward": [{"prompt": name} | endpoint for name in ("warm", "helpful")],
    })  # fmt: skip
    prepared = prepare(spec)
    folder, lock = folders.create("kind", prepared.spec.model_dump(mode="json"), prepared.facts, prepared.files)
    lock.release()
    before = {*Path.cwd().iterdir()}
    # Twice: the runner that made the run may have died before it could note it.
    for _ in range(2):
        tracker = tracking.RunTracker(folder, Journal(folder.path / "elsewhere.jsonl", "runner"))
        tracker.start()
    assert {*Path.cwd().iterdir()} == before
    client = store.client()
    tags = client.get_run(tracker.run_id).data.tags
    assert tags["tunelab.reward_prompt"] == "warm@1, helpful@1"
    linked = [client.get_prompt_version(f"tunelab.reward.{name}", 1) for name in ("warm", "helpful")]
    assert tags["mlflow.linkedPrompts"] == update_linked_prompts_tag(None, linked)
    assert [version.template for version in linked] == [WARM, tl.RewardPrompt.get("helpful").template]
    assert {file.path for file in client.list_artifacts(tracker.run_id, "reward")} == {
        "reward/reward-warm-1.jinja",
        "reward/reward-helpful-1.jinja",
    }


def test_where_mlflow_is_away_nothing_is_kept_and_no_password_shown(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:hunter2@127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(tl.Error, match="'warm', and it was not kept; create it again") as caught:
        tl.RewardPrompt.create("warm", WARM)
    assert "hunter2" not in str(caught.value)
    assert index.names() == []


@pytest.mark.parametrize("name", ["helpful", "faithful", "concise", "human_like", "format"])
def test_built_in_prompts_can_be_filled_in_and_ask_for_a_score(workspace: Path, name: str) -> None:
    prompt = tl.RewardPrompt.get(name)
    prompt.check({"ground_truth"})
    text = prompt.render(Case("Why?", "Because {{ x }}.", {"ground_truth": "So."}))
    assert "Because {{ x }}." in text, "an answer is text and no template"
    assert '"score"' in text and "{{ prompt }}" not in text
    assert str(prompt) == f"{name}@1"


REFUSED = {
    "no template": ("{{ completion }} {% if %}", "line 1: Expected an expression, got 'end of statement block'."),
    "no filter": ("{{ completion | loud }}", "line 1: No filter named 'loud'."),
    "another one": (
        "{% include 'helpful' %}{{ completion }}",
        "takes in another template; a reward prompt is one",
    ),
    "not closed": ("{{ completion }}\n{% for a in b %}", "line 2: Unexpected end of template."),
    "blind": ("Score {{ prompt }}", "has no {{ completion }}: the model would score without seeing the answer."),
    "nested": ("{{ completion }}{{ " + "(" * 3000 + "1" + ")" * 3000 + " }}", "has expressions nested too deeply"),
    "too long": ("{{ completion }}" + "x" * 100_000, "has 100,016 characters; 100,000 are the most."),
}


@pytest.mark.parametrize(("template", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_a_template_that_is_none_is_refused(workspace: Path, template: str, message: str) -> None:
    with pytest.raises(tl.SpecError) as caught:
        tl.RewardPrompt.create("mine", template)
    assert message in str(caught.value)


def test_a_variable_that_is_no_column_is_refused_with_the_nearest_one(workspace: Path) -> None:
    prompt = tl.RewardPrompt("mine", 1, "{{ completion }} {{ ground_thruth }}")
    with pytest.raises(tl.SpecError) as caught:
        prompt.check({"ground_truth", "level"})
    assert str(caught.value) == (
        "The reward prompt 'mine' has {{ ground_thruth }}, which the rows have no column for. Did you mean "
        "'ground_truth'? They have completion, ground_truth, level, prompt."
    )


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("helpful", "is built in; give yours another name"),
        ("two words", "has letters, digits, '_' and '-'"),
        ("9", "begins with a letter"),
    ],
)
def test_a_name_that_cannot_be_is_refused(workspace: Path, name: str, message: str) -> None:
    with pytest.raises(tl.SpecError, match=message):
        tl.RewardPrompt.create(name, WARM)


def test_what_is_not_there_is_said_with_what_is(workspace: Path) -> None:
    with pytest.raises(tl.SpecError, match=r"no reward prompt 'helpfull'\. Did you mean 'helpful'"):
        tl.RewardPrompt.get("helpfull")
    with pytest.raises(tl.SpecError, match="'helpful' has no version 3; it has 1"):
        tl.RewardPrompt.get("helpful@3")
    with pytest.raises(tl.SpecError, match="named NAME or NAME@VERSION, and got int"):
        tl.RewardPrompt.get(3)  # type: ignore[arg-type]


def test_an_index_that_cannot_be_read_is_refused_with_what_to_do(workspace: Path) -> None:
    assert len(tl.reward_prompts()) == 5
    (workspace / "prompts.json").write_text("{cut", encoding="utf-8")
    with pytest.raises(tl.Error, match=r"prompts\.json cannot be read .*reward_prompts\(refresh=True\)"):
        tl.reward_prompts()


@pytest.mark.parametrize(
    "template",
    ["{{ completion.__class__.__mro__ }}", "{{ completion }}{{ 1 / 0 }}", "{{ completion.nope }}"],
)
def test_a_template_reaches_nothing_but_the_row(workspace: Path, template: str) -> None:
    with pytest.raises(tl.SpecError, match="The reward prompt 'mine'"):
        tl.RewardPrompt("mine", 1, template).render(Case("p", "c"))


def test_conversations_and_columns_are_rendered(workspace: Path) -> None:
    turns = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hi"}]
    prompt = tl.RewardPrompt("mine", 1, "{{ prompt }}|{{ completion }}|{{ level + 1 }}")
    assert prompt.render(Case(turns, "<b>", {"level": 2})) == "system: Be kind.\nuser: Hi|<b>|3"
