"""The reference model's log-probabilities of DPO, computed once a row and kept on disk by content.

A row's value does not depend on its neighbours (`fast.forward`), so the second epoch, the second job and the same job
in another workspace meet the same bits.
"""

from __future__ import annotations

import contextlib
import hashlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers.modeling_utils import PreTrainedModel
from trl import DPOTrainer
from trl.trainer.utils import pad

from tunelab import workspace
from tunelab.models import digests
from tunelab.training.fast import forward


class References:
    """What the workspace has of one reference's log-probabilities.

    Parameters
    ----------
    identity
        What makes the reference what it is: its weights, and what its arithmetic depends on.
    """

    def __init__(self, identity: str) -> None:
        self.identity = identity.encode()
        self.computed = 0
        self.found = 0
        folder = workspace.current().root / "cache"
        folder.mkdir(mode=0o700, exist_ok=True)
        self._store = sqlite3.connect(folder / "reference.sqlite", timeout=60, isolation_level=None)
        self._store.execute("PRAGMA journal_mode = WAL")
        self._store.execute("PRAGMA synchronous = NORMAL")
        self._store.execute(
            "CREATE TABLE IF NOT EXISTS logps (pair BLOB PRIMARY KEY, chosen REAL, rejected REAL) WITHOUT ROWID"
        )

    def of(self, trainer: ReferenceDPOTrainer, inputs: dict[str, Any]) -> tuple[Tensor, Tensor]:
        """Return the log-probabilities of the chosen and of the rejected answers of a batch, each of shape (pairs,)."""
        pairs = _pairs(inputs)
        keys = [self._key(trainer, pair) for pair in pairs]
        known = {key: self._get(key) for key in keys}
        missing = {key: pair for key, pair in zip(keys, pairs, strict=True) if known[key] is None}
        self.found += len(keys) - len(missing)
        if missing:
            known |= self._compute(trainer, missing)
        values = torch.tensor([known[key] for key in keys], dtype=torch.float32, device=inputs["input_ids"].device)
        return values[:, 0], values[:, 1]

    def has(self, trainer: ReferenceDPOTrainer, inputs: dict[str, Any]) -> bool:
        """Return whether those of a whole batch are there."""
        return all(self._get(self._key(trainer, pair)) is not None for pair in _pairs(inputs))

    def _compute(self, trainer: ReferenceDPOTrainer, missing: dict[bytes, dict[str, Tensor]]) -> dict[bytes, Any]:
        model: Any = trainer.ref_model or trainer.model
        training = model.training
        model.eval()
        with forward.log_probs_only():
            compute: Any = trainer.compute_ref_log_probs
            chosen, rejected = compute(model, trainer.padded(list(missing.values())))
        model.train(training)
        self.computed += len(missing)
        fresh = dict(zip(missing, zip(chosen.tolist(), rejected.tolist(), strict=True), strict=True))
        with _transaction(self._store):
            self._store.executemany(
                "INSERT OR IGNORE INTO logps VALUES (?, ?, ?)", [(key, *value) for key, value in fresh.items()]
            )
        return fresh

    def _get(self, key: bytes) -> tuple[float, float] | None:
        found: tuple[float, float] | None = self._store.execute(
            "SELECT chosen, rejected FROM logps WHERE pair = ?", (key,)
        ).fetchone()
        return found

    def _key(self, trainer: ReferenceDPOTrainer, pair: dict[str, Tensor]) -> bytes:
        digest = hashlib.blake2b(self.identity, digest_size=24)
        digest.update(f"|{trainer.ld_alpha}|".encode())
        for name, tensor in pair.items():
            digest.update(f"{name}{tuple(tensor.shape)}".encode() + tensor.cpu().numpy().tobytes())
        return digest.digest()


class ReferenceDPOTrainer(DPOTrainer):
    """TRL's trainer, which takes the reference's log-probabilities from `references` once that is set."""

    references: References | None = None

    def use(self, references: References) -> None:
        """Take the reference's log-probabilities from here on from `references`, computing what is missing."""
        self.references = references
        self.precompute_ref_logps = True

    def precompute(self) -> None:
        """Compute the reference's log-probabilities of all rows, as `precompute_ref_log_probs` asks for."""
        assert self.references is not None
        settings: Any = self.args
        size = settings.precompute_ref_batch_size or settings.per_device_train_batch_size
        datasets: tuple[Any, Any] = (self.train_dataset, self.eval_dataset)
        for dataset in datasets:
            every = list(dataset or ())
            for begin in range(0, len(every), size):
                self.references.of(self, self._prepare_inputs(self.data_collator(every[begin : begin + size])))

    def unknown(self, dataset: Any) -> float:
        """Return the share of a dataset's rows whose reference log-probabilities are not there yet."""
        assert self.references is not None
        rows = list(dataset)
        return sum(not self.references.has(self, self.data_collator([row])) for row in rows) / max(1, len(rows))

    def padded(self, pairs: list[dict[str, Tensor]]) -> dict[str, Tensor]:
        """Return pairs without padding as one padded batch, chosen answers first."""
        batch = {}
        for name, value in (("input_ids", self._tokenizer.pad_token_id), ("attention_mask", 0), ("completion_mask", 0)):
            rows = [pair[f"{side}_{name}"] for side in ("chosen", "rejected") for pair in pairs]
            batch[name] = pad(rows, padding_value=value, padding_side="right")
        return batch

    def _precompute_ref_logps(self, dataset: Any, name: str, batch_size: int) -> Any:
        # TRL asks for this while it is made, before the fast forward pass is there; `precompute` does it after.
        return dataset

    def _compute_loss(self, model: Any, inputs: dict[str, Any], return_outputs: bool) -> Any:
        if self.references is not None and "ref_chosen_logps" not in inputs:
            inputs["ref_chosen_logps"], inputs["ref_rejected_logps"] = self.references.of(self, inputs)
        return super()._compute_loss(model, inputs, return_outputs)  # type: ignore[no-untyped-call]


def identity(folders: list[Path], model: PreTrainedModel, path: str) -> str:
    """Return what a reference's log-probabilities depend on besides the row, as text.

    Parameters
    ----------
    folders
        Those whose weights make up the reference: the base model's, and an adapter's that it starts from.
    model
        The loaded model, for its number format and device.
    path
        ``"fast"`` or ``"trl"``: whose arithmetic it is.
    """
    device = model.device.type
    threads = f"{torch.get_num_threads()} threads" if device == "cpu" else torch.cuda.get_device_name()
    weights = [digests.of_file(file) for folder in folders for file in sorted(folder.glob("*.safetensors"))]
    return "|".join([*weights, str(model.dtype), device, threads, torch.__version__, path])


def _pairs(inputs: dict[str, Any]) -> list[dict[str, Tensor]]:
    """Return each pair of a padded batch without its padding."""
    half = len(inputs["input_ids"]) // 2
    pairs = []
    for index in range(half):
        pair = {}
        for side, place in (("chosen", index), ("rejected", index + half)):
            mask = inputs["attention_mask"][place].bool()
            for name in ("input_ids", "attention_mask", "completion_mask"):
                pair[f"{side}_{name}"] = inputs[name][place][mask]
        pairs.append(pair)
    return pairs


@contextlib.contextmanager
def _transaction(store: sqlite3.Connection) -> Iterator[None]:
    store.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        store.execute("ROLLBACK")
        raise
    store.execute("COMMIT")
