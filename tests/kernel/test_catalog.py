"""The catalog of base models: its figures hold together, and its names take nothing from what a user has."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from tunelab.errors import Error
from tunelab.models import catalog, find, size
from tunelab.registry import index

ENTRIES = catalog.entries()


@pytest.mark.parametrize("name", ENTRIES)
def test_a_shape_makes_the_number_of_parameters(name: str) -> None:
    entry = ENTRIES[name]
    # Beside the decoder: norms of queries and keys, biases, and the 420 M of Gemma's vision tower and its projector.
    beside = 424e6 if name in ("gemma-3-4b", "gemma-3-12b", "gemma-3-27b") else 4e-4 * entry.params
    assert 0 <= entry.params - size.parameters(entry.shape) <= beside


def test_names_are_short_ids_are_whole_and_the_first_needs_no_network() -> None:
    first = next(iter(ENTRIES.values()))
    assert first.package and first.gguf
    assert len({entry.hub_id for entry in ENTRIES.values()}) == len(ENTRIES)
    for name, entry in ENTRIES.items():
        assert "/" not in name and name == name.lower()
        assert entry.hub_id.count("/") == 1 and entry.licence


def entry(name: str, path: str, base: str = "smollm2-135m") -> index.Entry:
    return index.Entry(name, 1, "job", "run", base, "dpo", "d@1", "lora", path, "2025-01-01")


def test_ones_own_model_or_folder_goes_on_being_meant_by_its_name(
    workspace: Path, tiny_models: dict[str, Path]
) -> None:
    assert find.find("qwen3-0.6b").kind == "catalog"
    Path("qwen3-0.6b").symlink_to(tiny_models["qwen3"])
    assert find.find("qwen3-0.6b").folder == tiny_models["qwen3"].resolve()
    index.add(entry("gemma-3-1b", str(workspace)))
    assert find.find("gemma-3-1b").version == "gemma-3-1b@1"


def test_a_catalog_model_that_was_brought_is_never_taken_for_a_folder(
    workspace: Path, tiny_models: dict[str, Path]
) -> None:
    made = find.prepared("qwen3-0.6b")
    made.parent.mkdir(exist_ok=True)
    made.symlink_to(tiny_models["qwen3"].resolve())
    (tiny_models["qwen3"] / "source.json").write_text("{}")
    try:
        index.add(entry("mine", str(workspace), base="qwen3-0.6b"))
        Path("qwen3-0.6b").mkdir()
        with pytest.raises(Error, match=r"is a catalog name and a folder. Say './qwen3-0.6b' for the folder."):
            find.find("qwen3-0.6b")
        assert find.find("mine").base.folder == made
    finally:
        (tiny_models["qwen3"] / "source.json").unlink()


def test_memory_grows_with_what_it_is_made_of() -> None:
    shape = ENTRIES["llama-3.1-8b"].shape
    plain = size.memory(shape, "sft", "lora", 16, 4, 1024, "bfloat16")
    assert plain.weights == pytest.approx(2 * 8_030_261_248, rel=0.02)
    full = size.memory(shape, "sft", "full", 16, 4, 1024, "bfloat16")
    assert full.trained == 3 * 2 * 8_030_261_248
    pairs = size.memory(shape, "dpo", "lora", 16, 4, 1024, "bfloat16")
    assert pairs.activations == 2 * plain.activations
    assert size.memory(shape, "sft", "lora", 16, 8, 1024, "bfloat16").activations == 2 * plain.activations
    assert size.memory(shape, "sft", "lora", 64, 4, 1024, "bfloat16").trained == 4 * plain.trained
    twice = size.memory(shape, "sft", "lora", 16, 4, 1024, "bfloat16", checkpointing=True)
    assert dataclasses.replace(twice, activations=0) == dataclasses.replace(plain, activations=0)
    assert twice.activations < plain.activations / 4


@pytest.mark.parametrize(
    ("count", "said"),
    [(49_184, "49K"), (134_515_008, "135M"), (1_235_814_400, "1.2B"), (8_030_261_248, "8B"), (70_553_706_496, "70.6B")],
)
def test_parameters_are_named_as_models_are(count: int, said: str) -> None:
    assert size.readable(count) == said
