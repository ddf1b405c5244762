"""Reward prompts and functions on show: what a page is told, how it makes prompts, what jobs kept of functions."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from test_desk import Seen
from test_live import Client, until
from test_live import kernel as kernel

import tunelab as tl
from tunelab import workspace as workspaces
from tunelab.notebook.functions import FunctionList
from tunelab.notebook.prompts import PromptList
from tunelab.registry import prompts as index
from tunelab.spec import load
from tunelab.spec.rewards import DOES, PRESETS

BUILT_IN = ["concise", "faithful", "format", "helpful", "human_like"]
WARM = "Is this warm? {{ prompt }} {{ completion }}"
ODD = "<img src=x onerror=alert(1)> \x1b[31m**bold**\n\n'''\"\\n\u2028 {{ completion }} über 😀 {{ ground_truth }}\t"
TONE = 'def tone(prompt, completion, **row):\n    """1 where it is warm."""\n    return float("warm" in completion)\n'


def asking(shown: Any, seen: Seen) -> Callable[..., dict[str, Any]]:
    def ask(kind: str, **content: Any) -> dict[str, Any]:
        before = len(seen.messages)
        shown.command(seen, {"type": kind} | content)
        until(lambda: len(seen.messages) > before, 60)
        return seen.messages[-1]

    ask.seen = seen  # type: ignore[attr-defined]
    return ask


@pytest.fixture
def prompts(workspace: Path) -> Iterator[Any]:
    """Asks the list of reward prompts what a page asks, and returns the answer; `prompts.seen` is the view."""
    shown, seen = PromptList(), Seen()
    shown.add(seen)
    yield asking(shown, seen)
    shown.remove(seen)


@pytest.fixture
def functions(workspace: Path) -> Iterator[Any]:
    """Likewise, of functions."""
    shown, seen = FunctionList(), Seen()
    shown.add(seen)
    yield asking(shown, seen)
    shown.remove(seen)


def job(name: str, spec: dict[str, Any], files: dict[str, str], seconds: int = 0, key: str = "reward") -> Path:
    """Put a job's record into the workspace as a submit leaves it."""
    folder = workspaces.current().jobs / f"{name}-20260316-1015{seconds:02d}-1f2e"
    aside = folder.with_name(f".{folder.name}")
    aside.mkdir(parents=True)
    for file, text in files.items():
        (aside / file).write_text(text, encoding="utf-8")
    digests = {file: hashlib.sha256(text.encode()).hexdigest() for file, text in files.items()}
    facts = {"submitted_ns": (1_773_655_000 + seconds) * 10**9, "given": {}, key: digests}
    (aside / "submitted.json").write_text(json.dumps(facts))
    (aside / "spec.yaml").write_text(yaml.safe_dump(spec))
    return aside.rename(folder)


def rewarded(name: str, source: str, seconds: int, function: str = "tone") -> Path:
    spec = {"kind": "customize", "reward": {"source": "reward.py", "name": function}}
    return job(name, spec, {"reward.py": source}, seconds)


def test_the_list_has_ones_own_first_with_the_jobs_that_they_scored(prompts: Any) -> None:
    seen = prompts.seen
    assert [row["name"] for row in seen.values["prompts"]] == BUILT_IN
    assert [row["name"] for row in seen.values["prompts"] if row["ground_truth"]] == ["faithful"]
    index.add(index.Entry("old", 1, WARM, "2026-01-01T00:00:00+00:00"))
    index.add(index.Entry("warm", 1, WARM, "2026-02-01T00:00:00+00:00"))
    index.add(index.Entry("warm", 2, ODD, "2026-02-02T00:00:00+00:00"))
    spec = {"kind": "customize", "reward": [{"prompt": "warm@1", "model": "m"}, {"prompt": "helpful@1", "model": "m"}]}
    folder = job("kind", spec, {"reward-warm-1.jinja": WARM})
    until(lambda: [row["jobs"] for row in seen.values["prompts"]] == [1, 0, 0, 0, 0, 1, 0])
    assert [row["name"] for row in seen.values["prompts"]] == ["warm", "old", *BUILT_IN]
    row = seen.values["prompts"][0]
    assert (row["version"], row["versions"], row["builtin"], row["ground_truth"]) == (2, [2, 1], False, True)
    used = prompts("prompt", prompt="warm@1")["jobs"]
    assert used == [{"job": folder.name, "evaluation": False, "submitted": "2026-03-16T09:56:40+00:00"}]
    assert prompts("prompt", prompt="warm@2")["jobs"] == []
    shutil.rmtree(folder)
    until(lambda: seen.values["prompts"][0]["jobs"] == 0)


@pytest.mark.parametrize("text", [WARM, ODD], ids=["plain", "hostile"])
def test_a_page_has_the_whole_of_a_prompt_and_what_it_is_copied_as(prompts: Any, text: str) -> None:
    index.add(index.Entry("warm", 1, text, "2026-01-01T00:00:00+00:00"))
    shown = prompts("prompt", prompt="warm")
    assert (shown["template"], shown["created"]) == (text, "2026-01-01T00:00:00+00:00")
    # What the code makes is the version that it was written from, so nothing asks MLflow.
    namespace: dict[str, Any] = {}
    exec(shown["python"].replace("tl.RewardPrompt.create", "made = tl.RewardPrompt.create"), namespace)
    assert namespace["made"] == tl.RewardPrompt.get("warm@1")
    head, body = shown["cell"].split("\n", 1)
    spec = load.customize(load.from_yaml(body) | {"name": "kind"})
    assert head == "%%customize" and spec.technique == "rlaif" and spec.dataset == "my-prompts"
    assert spec.model_dump(mode="json")["reward"]["prompt"] == "warm@1"


def test_a_prompt_is_kept_by_the_form_and_its_next_version_too(prompts: Any) -> None:
    kept = prompts("keep_prompt", name="warm", template=WARM)
    assert kept == {"type": "prompt_kept", "prompt": "warm@1", "note": ""}
    assert prompts.seen.values["prompts"][0]["name"] == "warm", "it is in the list before the answer"
    again = prompts("keep_prompt", name="warm", template=WARM)
    assert again["note"] == "This is what warm@1 said already, so no version was added."
    assert prompts("keep_prompt", name="warm", template=f"{WARM} Say so.")["prompt"] == "warm@2"
    assert prompts.seen.values["prompts"][0]["versions"] == [2, 1]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"name": ""}, "A reward prompt's name has letters"),
        ({"name": "helpful"}, "The reward prompt 'helpful' is built in; give yours another name."),
        ({"template": "Warm? {{ prompt }}"}, "The reward prompt 'warm' has no {{ completion }}"),
        ({"template": "{{ completion }\nno"}, "The reward prompt 'warm', line 1: "),
        ({"template": "{% include 'x' %}{{ completion }}"}, "takes in another template"),
        ({"template": "{{ completion }}" * 10_000}, "100,000 are the most"),
    ],
    ids=["no name", "built in", "no answer", "no template", "include", "long"],
)
def test_what_cannot_be_a_prompt_is_refused_in_a_sentence(prompts: Any, changes: dict[str, Any], said: str) -> None:
    answer = prompts("keep_prompt", **({"name": "warm", "template": WARM} | changes))
    assert (answer["type"], answer["asked"]) == ("prompt_refused", "keep_prompt")
    assert said in answer["reason"]
    assert index.names() == []


def test_an_unknown_prompt_and_an_index_that_cannot_be_read_are_told(prompts: Any, workspace: Path) -> None:
    answer = prompts("prompt", prompt="helpfull@1")
    assert answer["prompt"] == "helpfull@1" and "Did you mean 'helpful'?" in answer["reason"]
    (workspace / "prompts.json").write_text("{")
    until(lambda: prompts.seen.values["trouble"])
    assert "tl.reward_prompts(refresh=True)" in prompts.seen.values["trouble"]
    (workspace / "prompts.json").unlink()
    until(lambda: prompts.seen.values["trouble"] is None)


def test_functions_are_versions_by_their_source_the_newest_first(functions: Any) -> None:
    first, second = rewarded("one", TONE, 1), rewarded("two", f"{TONE}# {ODD!r}\n", 2)
    third = rewarded("three", TONE, 3)
    until(lambda: functions.seen.values["functions"][0]["jobs"] == 3)
    row = functions.seen.values["functions"][0]
    assert (row["name"], row["versions"], row["says"]) == ("tone", 2, "1 where it is warm.")
    page = functions("function", name="tone", digest=None)
    assert [one["version"] for one in page["versions"]] == [2, 1]
    assert page["source"] == f"{TONE}# {ODD!r}\n" and [one["job"] for one in page["jobs"]] == [second.name]
    old = functions("function", name="tone", digest=page["versions"][1]["digest"])
    assert old["source"] == TONE and [one["job"] for one in old["jobs"]] == [third.name, first.name]
    # Both ways of using it name the file that is kept with the newest of its jobs.
    body = load.from_yaml(old["cell"].split("\n", 1)[1])
    assert body["reward"] == old["reward"]["function"] == f"{third / 'reward.py'}:tone"


def test_a_scorer_is_copied_as_a_cell_that_evaluates(functions: Any) -> None:
    spec = {"kind": "evaluate", "scorer": [{"source": "reward.py", "name": "tone"}, {"preset": "exact"}]}
    folder = job("seen", spec, {"reward.py": TONE}, key="scoring")
    until(lambda: functions.seen.values["functions"][0]["name"] == "tone")
    page = functions("function", name="tone", digest=None)
    evaluation = load.from_yaml(page["cell"].split("\n", 1)[1])
    assert page["cell"].startswith("%%evaluate\n") and evaluation["scorer"] == f"{folder / 'reward.py'}:tone"
    assert [one["job"] for one in functions("function", name="exact", digest=None)["jobs"]] == [folder.name]


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_says_what_it_does_and_its_cell_is_a_spec(functions: Any, name: str) -> None:
    page = functions("function", name=name, digest=None)
    assert page["says"] == DOES[name] and page["source"] is None
    assert page["options"][-1]["name"] == "weight"
    assert all(one["help"] and f"{name}: " not in one["help"] for one in page["options"])
    body = load.from_yaml(page["cell"].split("\n", 1)[1])
    reward = body["reward"] if isinstance(body["reward"], dict) else {"preset": body["reward"]}
    assert reward == page["reward"]
    load.customize(body | {"name": "kind", "reward": reward})


def test_a_function_that_is_named_as_a_preset_has_a_page_of_its_own(functions: Any) -> None:
    rewarded("one", TONE.replace("tone", "exact"), 1, "exact")
    until(lambda: functions.seen.values["functions"][0]["kind"] == "function")
    assert functions.seen.values["functions"][0]["key"] == "function:exact"
    assert functions("function", name="function:exact", digest=None)["kind"] == "function"
    assert functions("function", name="exact", digest=None)["kind"] == "preset"


def test_records_that_are_damaged_or_name_other_files_show_nothing(functions: Any, workspace: Path) -> None:
    secret = workspace / "secret.py"
    secret.write_text("def tone(): ...")
    spec = {"kind": "customize", "reward": {"source": str(secret), "name": "tone"}}
    # The path is among the digests too, as in a record that was made to read it.
    aside = job("away", spec, {}, 1)
    facts = json.loads((aside / "submitted.json").read_text()) | {"reward": {str(secret): "0" * 64}}
    (aside / "submitted.json").write_text(json.dumps(facts))
    torn = rewarded("torn", TONE, 2)
    (torn / "spec.yaml").write_text("{")
    (rewarded("half", "def tone(:\n\x1b[31m", 3, "half")).joinpath("reward.py").unlink()
    until(lambda: functions.seen.values["functions"][0]["name"] == "half")
    assert [row["name"] for row in functions.seen.values["functions"]] == ["half", *PRESETS]
    assert functions("function", name="half", digest=None)["source"] == ""
    refused = functions("function", name="tone", digest=None)
    assert refused["type"] == "function_refused" and refused["reason"].startswith("No job here has a function 'tone'.")


def test_a_thousand_jobs_are_read_once(functions: Any, workspace: Path) -> None:
    for number in range(1000):
        folder = workspace / "jobs" / f"plain-20260316-101500-{number:04x}"
        folder.mkdir(parents=True)
        (folder / "submitted.json").write_text(json.dumps({"submitted_ns": number, "given": {"model": "m"}}))
    rewarded("one", TONE, 1)
    listed = FunctionList()
    listed.look()
    began = time.perf_counter()
    for _ in range(100):
        listed.look()
    assert time.perf_counter() - began < 0.5, "a look costs what it costs to see that nothing has changed"


def test_the_kernel_opens_both_for_a_page(kernel: Client) -> None:
    kernel.run("%load_ext tunelab")
    kernel.comm("comm_open", "p", {"view": "prompts"})
    opened = kernel.hear("p", lambda data: "prompts" in data.get("state", {}))
    assert [row["name"] for row in opened["state"]["prompts"]] == BUILT_IN
    kernel.comm("comm_open", "f", {"view": "functions"})
    opened = kernel.hear("f", lambda data: "functions" in data.get("state", {}))
    assert [row["name"] for row in opened["state"]["functions"]] == list(PRESETS)
