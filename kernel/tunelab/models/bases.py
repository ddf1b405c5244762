"""The base models to choose from: the catalog's, the hub cache's, folders nearby; and what each takes here."""

from __future__ import annotations

import functools
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, overload

from tunelab import workspace
from tunelab.errors import Error, ModelError
from tunelab.jobs import machine, memory
from tunelab.models import find, size
from tunelab.models.catalog import Shape
from tunelab.spec import TECHNIQUES
from tunelab.tables import columns, table

#: A working directory may hold anything: no more of its folders are looked into.
_MOST_FOLDERS = 500
#: What is free changes all the time; a list says anew whether something fits no more often than this.
_FREE_FOR_S = 10.0
#: By so much bfloat16 must be measured faster on a CPU to be chosen: `training.speed`.
_REALLY_FASTER = 1.3


@dataclass(frozen=True)
class BaseModel:
    """A model to begin with, as far as it is known without loading it.

    `here` says where its files are: ``"workspace"``, ``"package"``, ``"hub cache"``, ``"folder"``, or ``""`` where they
    are still to be downloaded. `gated` is whether the hub wants its licence accepted first.
    """

    name: str
    kind: Literal["catalog", "hub", "folder"]
    hub_id: str | None
    params: int | None
    context: int | None
    licence: str
    gated: bool
    chat_template: bool | None
    here: str
    folder: Path | None
    shape: Shape | None

    @property
    def techniques(self) -> tuple[str, ...]:
        """What it can be customized by; without a chat template only rows of plain text fit."""
        return TECHNIQUES

    def memory(self, technique: str = "sft", adapter: str = "lora") -> tuple[int, int] | None:
        """Return the least and the most bytes that a step takes by the recipe; None where the shape is not known.

        The most is with every row as long as the recipe lets it be, the least with activations computed twice, as a
        trainer does where memory is short.
        """
        return None if self.shape is None else _memory(self.shape, self.params, technique, adapter, dtype())

    def __str__(self) -> str:
        return self.name


class BaseModels(Sequence[BaseModel]):
    """Base models: the catalog's in its order, then others that are on this machine. Shown as a table."""

    def __init__(self, models: Sequence[BaseModel]) -> None:
        self._models = list(models)

    @overload
    def __getitem__(self, index: int) -> BaseModel: ...
    @overload
    def __getitem__(self, index: slice) -> BaseModels: ...
    def __getitem__(self, index: int | slice) -> BaseModel | BaseModels:
        """Return a model, or some of them."""
        return BaseModels(self._models[index]) if isinstance(index, slice) else self._models[index]

    def __len__(self) -> int:
        return len(self._models)

    def __iter__(self) -> Iterator[BaseModel]:
        return iter(self._models)

    def rows(self) -> list[dict[str, Any]]:
        """Return what the table shows, one mapping a model; memory is the least that fine-tuning takes."""
        available = memory.free(fresh=True)
        return [
            {
                "model": one.name,
                "parameters": size.readable(one.params) if one.params else "?",
                "context": f"{one.context:,}" if one.context else "?",
                "licence": one.licence + (" (to be accepted on the hub)" if one.gated and not one.here else ""),
                "chat template": {True: "yes", False: "no", None: "?"}[one.chat_template],
                "techniques": ", ".join(one.techniques),
                "LoRA": _takes(one.memory(adapter="lora"), available),
                "full": _takes(one.memory(adapter="full"), available),
                "here": one.here or "to download",
            }
            for one in self._models
        ]

    def __repr__(self) -> str:
        return columns(self.rows())

    def _repr_html_(self) -> str:
        free = f"{memory.free(fresh=True) / 1e9:.1f} GB"
        return (
            table(self.rows()) + f"<p>LoRA and full: the memory from which fine-tuning works; {free} are free now.</p>"
        )


def dtype() -> str:
    """Return the number format that a job begun now would choose; where it was not measured yet, the wider one."""
    device = machine.device("auto")
    if known := machine.dtype(device):
        return known
    notes = workspace.read_json(workspace.current().root / "cache" / "speed.json", {})
    mine = [rates for name, rates in notes.items() if name.startswith("cpu | ")] if isinstance(notes, dict) else []
    last = mine[-1] if mine else {}
    is_faster = last.get("bfloat16") and last["bfloat16"] > _REALLY_FASTER * last.get("float32", float("inf"))
    return "bfloat16" if is_faster else "float32"


@functools.lru_cache(maxsize=4096)
def _memory(shape: Shape, params: int | None, technique: str, adapter: str, number: str) -> tuple[int, int]:
    given = size.settings(technique, params, adapter, machine.device("auto").partition(":")[0])
    least, most = (
        size.memory(shape, technique, adapter, dtype=number, params=params, checkpointing=twice, **given).total
        for twice in (True, False)
    )
    return min(least, most), most


def fits(needed: tuple[int, int] | None) -> bool | None:
    """Return whether there is memory for the least that is needed; None where that is not known."""
    return None if needed is None else needed[0] < free()


def _takes(needed: tuple[int, int] | None, available: float) -> str:
    if needed is None:
        return "?"
    return f"{needed[0] / 1e9:,.1f} GB" + ("" if needed[0] < available else ", too much here")


def find_base(name: str) -> BaseModel:
    """Return a base model by a catalog name, a hub id or a folder.

    Raises
    ------
    ModelError
        If there is none of that name.
    """
    if name in find.CATALOG:
        return _of_catalog(name)
    for one in found():
        if name in (one.name, one.hub_id, str(one.folder)):
            return one
    ref = find.find(name)
    if ref.kind == "custom":
        raise ModelError(f"'{name}' is a custom model, no base model; tl.model('{name}') shows it.")
    return _of_ref(ref)


def stamp() -> tuple[Any, ...]:
    """Return what changes when there may be another base model here; it takes no more than looking at times."""
    root = find.hub_cache_root()
    return (
        _mtimes(workspace.current().models),
        *((each.name, *_mtimes(each / "refs", each / "snapshots", _snapshot(each))) for each in _hub_folders(root)),
        str(Path.cwd()),
        *((each, *_mtimes(Path(each))) for each in _folders()),
    )


def found() -> list[BaseModel]:
    """Return all of them; files are read anew only where `stamp` has changed."""
    at = (str(workspace.current().root), *stamp())
    with _guard:
        if _last.get("at") != at:
            _last.update(at=at, models=_look())
        return list(_last["models"])


def _look() -> list[BaseModel]:
    models = [_of_catalog(name) for name in find.CATALOG]
    known = {entry.hub_id.lower() for entry in find.CATALOG.values()}
    for each in _hub_folders(find.hub_cache_root()):
        hub_id = each.name.removeprefix("models--").replace("--", "/")
        if hub_id.lower() not in known:
            models += _tried(functools.partial(find.find, hub_id), "hub")
    for path in _folders():
        models += _tried(functools.partial(find.folder, Path(path).resolve(), f"./{Path(path).name}"), "folder")
    return models


def _tried(look: Callable[[], find.ModelRef], kind: str) -> list[BaseModel]:
    try:
        ref = look()
    except (Error, OSError):
        # Encoders, adapters, downloads that are not whole: no model to begin with.
        return []
    if ref.folder is None or ref.kind != kind or ref.config is None or not _is_decoder(ref.config):
        return []
    return [_of_ref(ref)]


def _is_decoder(config: dict[str, Any]) -> bool:
    """Tell whether a config is of a causal language model and its weights are numbers one can train."""
    heads = config.get("architectures") or []
    return any(str(head).endswith(("ForCausalLM", "ForConditionalGeneration", "LMHeadModel")) for head in heads)


def _of_catalog(name: str) -> BaseModel:
    entry = find.CATALOG[name]
    here, folder = "", None
    if (find.prepared(name) / "source.json").is_file():
        here, folder = "workspace", find.prepared(name)
    elif (cached := find.hub_cache(entry.hub_id)) is not None:
        here, folder = "hub cache", cached
    elif (carried := find.package_file(entry)) is not None:
        here, folder = "package", carried.parent
    return BaseModel(
        name=name,
        kind="catalog",
        hub_id=entry.hub_id,
        params=entry.params,
        context=entry.context,
        licence=entry.licence,
        gated=entry.gated,
        chat_template=True,
        here=here,
        folder=folder,
        shape=entry.shape,
    )


def _of_ref(ref: find.ModelRef) -> BaseModel:
    root = ref.base or ref
    text = (root.config or {}).get("text_config") or root.config or {}
    context = text.get("max_position_embeddings")
    return BaseModel(
        name=root.name,
        kind="hub" if root.kind == "hub" else "folder",
        hub_id=root.name if root.kind == "hub" else None,
        params=root.params,
        context=context if isinstance(context, int) else None,
        licence=_licence(root.folder),
        gated=False,
        chat_template=root.has_chat_template,
        here="" if root.folder is None else "hub cache" if root.kind == "hub" else "folder",
        folder=root.folder,
        shape=Shape.of(root.config),
    )


def _licence(folder: Path | None) -> str:
    """Return the licence that a model's card names in its head; empty where there is none."""
    if folder is None:
        return ""
    try:
        with (folder / "README.md").open(encoding="utf-8", errors="replace") as card:
            head = card.read(4000).split("---")
    except OSError:
        return ""
    lines = head[1].splitlines() if len(head) > 2 else []
    named = [line.partition(":")[2].strip(" '\"") for line in lines if line.startswith("license:")]
    return named[0][:80] if named else ""


def _hub_folders(root: Path) -> list[Path]:
    try:
        with os.scandir(root) as entries:
            return sorted(Path(entry.path) for entry in entries if entry.name.startswith("models--"))
    except OSError:
        return []


def _snapshot(folder: Path) -> Path:
    try:
        return folder / "snapshots" / (folder / "refs" / "main").read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return folder


def _folders() -> list[str]:
    """Return the folders of the working directory that have a model's config, one level deep."""
    try:
        with os.scandir() as entries:
            names = sorted(entry.name for entry in entries if not entry.name.startswith(".") and entry.is_dir())
    except OSError:
        return []
    return [os.path.abspath(name) for name in names[:_MOST_FOLDERS] if os.path.isfile(f"{name}/config.json")]


def _mtimes(*paths: Path) -> tuple[int, ...]:
    def of(path: Path) -> int:
        try:
            return path.stat().st_mtime_ns
        except OSError:
            return -1

    return tuple(of(path) for path in paths)


def free() -> float:
    """Return the bytes that are free, measured anew after some seconds."""
    now = time.monotonic()
    if now - _measured.get("time", float("-inf")) > _FREE_FOR_S:
        _measured.update(time=now, free=memory.free(fresh=True))
    return _measured["free"]


_guard = threading.Lock()
_last: dict[str, Any] = {}
_measured: dict[str, float] = {}

__all__ = ["BaseModel", "BaseModels", "dtype", "find_base", "fits", "found", "free", "stamp"]
