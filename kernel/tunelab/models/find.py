"""What a model's name means, found without loading anything: catalog, custom model, local folder, hub.

Only JSON and safetensors headers are read here, so that a wrong name or folder is refused in the kernel, at once.
"""

from __future__ import annotations

import importlib.util
import json
import math
import os
import re
import struct
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from tunelab import workspace
from tunelab.errors import ModelError, did_you_mean, listing
from tunelab.models import catalog, size
from tunelab.models.catalog import CatalogEntry
from tunelab.registry import index

CATALOG = catalog.entries()
#: The folder in a checkpoint with the model that it stands for, where its own adapter is only a part of that.
WHOLE = "whole"


@dataclass(frozen=True)
class ModelRef:
    """A model as far as it is known before it is loaded.

    `folder` is where its files are, None while they are still to be brought. `params` and `config` are None where no
    file tells. For a custom model, `base` is what its adapter sits on.
    """

    name: str
    kind: Literal["catalog", "custom", "folder", "hub"]
    folder: Path | None = None
    params: int | None = None
    config: dict[str, Any] | None = None
    has_chat_template: bool | None = None
    base: ModelRef | None = None
    version: str | None = None


def find(name: str) -> ModelRef:
    """Return what `name` means: a catalog name, a custom model, a local folder, or a hub id.

    A custom model is ``NAME[@VERSION]``, or a checkpoint of the job that made it, ``NAME[@VERSION]:step-N``, while it
    is kept.

    Raises
    ------
    ModelError
        If it is nothing of these, or more than one, or a folder that cannot be trained on.
    """
    # os.path and not Path's own: those raise for a name that is too long, or a ~user that is not there.
    path = Path(os.path.expanduser(name))
    custom = index.find(name)
    if custom is None and (found := _checkpoint(name)) is not None:
        return found
    meanings = []
    if name in CATALOG and (_is_settled(name) or not (custom or os.path.isdir(path))):
        meanings.append("a catalog name")
    if custom is not None:
        meanings.append("a custom model")
    if os.path.isdir(path):
        meanings.append("a folder")
    if len(meanings) > 1:
        raise ModelError(f"'{name}' is {' and '.join(meanings)}. Say './{name}' for the folder.")
    if meanings == ["a catalog name"]:
        return in_catalog(name)
    if custom is not None:
        return _custom(custom)
    if os.path.isdir(path):
        return folder(path.resolve(), name)
    if path.suffix.lower() == ".gguf" or os.path.isfile(path):
        raise ModelError(f"'{name}' is a file; a model is a folder with config.json, tokenizer and *.safetensors.")
    if re.fullmatch(r"[\w-][\w.-]*/[\w-][\w.-]*", name):
        cached = hub_cache(name)
        if cached is not None:
            return folder(cached, name, "hub")
        return ModelRef(name, "hub", params=_params_in_name(name))
    if "@" in name and index.find(name.partition("@")[0]) is not None:
        base = name.partition("@")[0]
        raise ModelError(f"'{base}' has no version {name.partition('@')[2]}; it has {', '.join(index.versions(base))}.")
    known = [*CATALOG, *index.names()]
    hint = did_you_mean(name, known) or " A catalog name, a custom model, a local folder or a hub id (org/name)."
    raise ModelError(f"There is no model '{name}'.{hint}")


def folder(path: Path, name: str, kind: Literal["folder", "hub", "catalog"] = "folder") -> ModelRef:
    """Return the model in a local folder.

    Raises
    ------
    ModelError
        If a part is missing (the message names it), or it needs code of its own.
    """
    if (path / "adapter_config.json").is_file() and not (path / "config.json").is_file():
        raise ModelError(f"{name} is an adapter without its base. Name a full model, or a custom model NAME@VERSION.")
    if not (path / "config.json").is_file():
        raise ModelError(f"{name} has no config.json, so it is not a model folder.")
    try:
        config = json.loads((path / "config.json").read_text(encoding="utf-8"))
    except ValueError as error:
        raise ModelError(f"{name}: config.json cannot be read: {error}.") from error
    if not isinstance(config, dict):
        raise ModelError(f"{name}: config.json holds no settings by name.")
    if not any((path / file).is_file() for file in ("tokenizer.json", "tokenizer.model", "vocab.json", "spiece.model")):
        raise ModelError(
            f"{name} has no tokenizer (tokenizer.json or tokenizer.model). Save it there: tokenizer.save_pretrained(…)."
        )
    weights = sorted(path.glob("*.safetensors"))
    if not weights:
        other = next((file.name for file in path.iterdir() if file.suffix in (".bin", ".pt", ".pth", ".gguf")), None)
        found = f"; {other} is not loaded, since it may run code or is not in a trainable format" if other else ""
        raise ModelError(f"{name} has no weights as *.safetensors{found}. Save it with model.save_pretrained(…).")
    if "auto_map" in config and config.get("model_type") is None:
        raise ModelError(f"{name} needs Python code of its own (auto_map), which tunelab never runs.")
    heads = config.get("architectures") or []
    if heads and not any(head.endswith(("ForCausalLM", "ForConditionalGeneration", "LMHeadModel")) for head in heads):
        raise ModelError(f"{name} is {heads[0]}, not a causal language model.")
    return ModelRef(name, kind, path, _count(weights), config, has_chat_template=_has_chat_template(path), version=None)


def prepared(name: str) -> Path:
    """Return the workspace's folder for a catalog model, whether or not it is there yet."""
    return workspace.current().models / name


def package_file(entry: CatalogEntry) -> Path | None:
    """Return the GGUF file of the package that carries a catalog model, or None where it is not installed."""
    # find_spec does not run the package: it wants llama.cpp, and only its file is needed.
    spec = importlib.util.find_spec(entry.package) if entry.package else None
    if spec is None or spec.origin is None or entry.gguf is None:
        return None
    path = Path(spec.origin).with_name(entry.gguf)
    return path if path.is_file() else None


def hub_cache_root() -> Path:
    """Return the hub's cache folder, by the same environment variables as huggingface_hub."""
    home = os.environ.get("HF_HOME") or os.path.join(
        os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "huggingface"
    )
    return Path(os.environ.get("HF_HUB_CACHE") or os.path.join(home, "hub")).expanduser()


def lora_parameters(config: dict[str, Any], r: int) -> int | None:
    """Return how many weights an all-linear adapter of rank `r` has, from a model's config; None where it can't tell.

    A LoRA pair on a linear layer of shape (out, in) has r · (in + out) weights (Hu et al. 2021, section 4.1).
    """
    shape = catalog.Shape.of(config)
    return None if shape is None else size.adapter_parameters(shape, r)


def in_catalog(name: str) -> ModelRef:
    """Return a model of the catalog: prepared in the workspace, in the hub's cache, or still to be brought."""
    entry = CATALOG[name]
    ready = prepared(name)
    if (ready / "source.json").is_file():
        return folder(ready, name, "catalog")
    cached = hub_cache(entry.hub_id)
    if cached is not None:
        return folder(cached, name, "catalog")
    return ModelRef(name, "catalog", params=entry.params, has_chat_template=True)


def _is_settled(name: str) -> bool:
    """Tell whether a catalog name is this model's for good: it is in a package, or was brought once.

    Names come to the catalog with time; until then one's own model or folder of such a name goes on being meant by it.
    """
    return CATALOG[name].package is not None or (prepared(name) / "source.json").is_file()


def to_download(ref: ModelRef) -> str | None:
    """Return the hub id of a model that is nowhere on this machine and only the hub has; None of any other."""
    if ref.folder is not None:
        return None
    if ref.kind == "catalog":
        entry = CATALOG[ref.name]
        return None if entry.package else entry.hub_id
    return ref.name if ref.kind == "hub" else None


def _custom(entry: index.Entry, label: str | None = None) -> ModelRef:
    label = label or entry.label
    path = Path(entry.path)
    if not path.is_dir():
        raise ModelError(f"The files of {entry.label} are gone ({path}). Make it again from its spec, or remove it.")
    if entry.adapter == "full":
        found = folder(path, label)
        return ModelRef(label, "custom", path, found.params, found.config, found.has_chat_template, None, label)
    # What was resolved as the catalog's goes on to be it, whatever folder has come to be of that name.
    base = in_catalog(entry.base) if entry.base in CATALOG else find(entry.base)
    return ModelRef(label, "custom", path, base.params, base.config, base.has_chat_template, base, label)


def checkpoints(entry: index.Entry) -> list[int]:
    """Return the steps of which the job of a custom model keeps a checkpoint, in order."""
    made = workspace.current().jobs / entry.job / "checkpoints"
    return sorted(int(path.parent.name.removeprefix("step-")) for path in made.glob("step-*/.complete"))


def _checkpoint(name: str) -> ModelRef | None:
    """Return a checkpoint of a custom model's job; None where `name` is none of that form."""
    label, colon, step = name.rpartition(":step-")
    entry = index.find(label) if colon else None
    if entry is None:
        return None
    kept = checkpoints(entry)
    if not step.isdecimal() or int(step) not in kept:
        has = f"; it has {listing(f'step-{one}' for one in kept)}" if kept else ": its checkpoints are gone"
        raise ModelError(f"The job of '{entry.label}' has no checkpoint step-{step}{has}.")
    folder = workspace.current().jobs / entry.job / "checkpoints" / f"step-{int(step)}"
    # Beside a merged adapter it holds only its own; the two as one are within.
    whole = folder / WHOLE
    return _custom(replace(entry, path=str(whole if whole.is_dir() else folder)), f"{entry.label}:step-{int(step)}")


def hub_cache(hub_id: str) -> Path | None:
    """Return the newest snapshot of a hub model in the hub's cache that has weights, or None."""
    root = hub_cache_root() / f"models--{hub_id.replace('/', '--')}"
    pointer = root / "refs" / "main"
    if not pointer.is_file():
        return None
    snapshot = root / "snapshots" / pointer.read_text(encoding="utf-8").strip()
    complete = (snapshot / "config.json").exists() and any(snapshot.glob("*.safetensors"))
    return snapshot if complete else None


def _count(files: list[Path]) -> int | None:
    """Return the number of parameters, summed over the headers of the safetensors files.

    The format: eight bytes of length, little-endian, then that much JSON with each tensor's shape.
    """
    total = 0
    for path in files:
        try:
            with path.open("rb") as file:
                (length,) = struct.unpack("<Q", file.read(8))
                if length > min(path.stat().st_size, 100_000_000):
                    raise ValueError("its header is longer than the file")
                header = json.loads(file.read(length))
            total += sum(math.prod(entry["shape"]) for name, entry in header.items() if name != "__metadata__")
        except (struct.error, ValueError) as error:
            raise ModelError(f"{path} is not a safetensors file: {error}.") from error
        except (AttributeError, KeyError, TypeError) as error:
            raise ModelError(f"{path} is not a safetensors file: its header lists no tensors with shapes.") from error
    return total


def _has_chat_template(path: Path) -> bool:
    if (path / "chat_template.jinja").is_file() or (path / "chat_template.json").is_file():
        return True
    settings = path / "tokenizer_config.json"
    if not settings.is_file():
        return False
    try:
        return bool(json.loads(settings.read_text(encoding="utf-8")).get("chat_template"))
    except (ValueError, AttributeError) as error:
        raise ModelError(f"{settings} cannot be read: {error}.") from error


def _params_in_name(name: str) -> int | None:
    """Return the size that a hub id says of itself, such as 1.5B, which is all there is before it is downloaded."""
    match = re.search(r"(?<![\w.])(\d+(?:\.\d+)?)\s*([bm])(?![a-z])", name.replace("_", "-"), re.IGNORECASE)
    return int(float(match[1]) * (1e9 if match[2].lower() == "b" else 1e6)) if match else None
