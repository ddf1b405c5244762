"""Writes the catalog of hyperparameters from TRL's own config classes: `python -m tunelab.training.fields`.

The kernel must know every hyperparameter's name, type, default and help without importing TRL, so they are kept as
`spec/hyperparameters.json`. A test compares that file with the installed TRL.
"""

from __future__ import annotations

import dataclasses
import enum
import json
import re
import types
import typing
from typing import Any

from tunelab.spec.hyperparameters import CATALOG_FILE

#: Fields that tunelab sets from elsewhere in the spec, or that belong to another tool, with where to say it instead.
SET_BY_TUNELAB = {
    "output_dir", "report_to", "run_name", "project", "seed", "data_seed", "use_cpu", "trust_remote_code",
    "model_init_kwargs", "logging_strategy", "save_strategy", "eval_strategy", "save_total_limit", "save_only_model",
    "save_on_each_node", "load_best_model_at_end", "metric_for_best_model", "greater_is_better", "disable_tqdm",
    "log_level", "log_level_replica", "log_on_each_node", "do_train", "do_eval", "do_predict",
    "resume_from_checkpoint", "ignore_data_skip", "restore_callback_states_from_checkpoint", "local_rank", "debug",
    "push_to_hub", "hub_token", "hub_private_repo", "hub_model_id", "hub_strategy", "hub_always_push", "hub_revision",
    "trackio_space_id", "trackio_bucket_id", "trackio_static_space_id", "enable_jit_checkpoint", "bf16", "fp16",
    "remove_unused_columns", "label_names", "include_for_metrics", "batch_eval_metrics", "prediction_loss_only",
    "eval_do_concat_batches", "eval_use_gather_object", "length_column_name", "auto_find_batch_size",
    "skip_memory_metrics", "accelerator_config", "parallelism_config", "fsdp", "fsdp_config", "deepspeed",
    "ddp_find_unused_parameters", "ddp_bucket_cap_mb", "ddp_broadcast_buffers", "ddp_static_graph", "ddp_backend",
    "ddp_timeout", "average_tokens_across_devices", "dataset_text_field", "chat_template_path", "eos_token",
    "pad_token", "sync_ref_model", "ref_model_mixup_alpha", "ref_model_sync_steps",
    "activation_checkpointing", "activation_checkpointing_kwargs", "use_liger_kernel", "liger_kernel_config",
    "optim_target_modules", "padding_free", "reward_weights", "log_completions", "log_multimodal",
    "log_unique_prompts", "log_completions_hub_repo", "num_completions_to_print", "max_tool_calling_iterations",
    "use_transformers_paged", "vllm_importance_sampling_cap",
}  # fmt: skip


def main() -> None:
    """Write the catalog beside the spec."""
    CATALOG_FILE.write_text(json.dumps(catalog(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def catalog() -> dict[str, dict[str, dict[str, Any]]]:
    """Return method -> field -> ``{types, default, help[, choices]}`` as the installed TRL has it."""
    from trl import DPOConfig, GRPOConfig, RLOOConfig, SFTConfig

    configs = {"sft": SFTConfig, "dpo": DPOConfig, "grpo": GRPOConfig, "rloo": RLOOConfig}
    return {method: _fields(config) for method, config in configs.items()}


def _fields(config: type) -> dict[str, dict[str, Any]]:
    hints = typing.get_type_hints(config)
    documented = _documented(config)
    described = {}
    for field in dataclasses.fields(config):
        if field.name in SET_BY_TUNELAB:
            continue
        default = field.default if field.default_factory is dataclasses.MISSING else field.default_factory()
        entry: dict[str, Any] = {
            "types": sorted(_types(hints[field.name])),
            "default": default.value if isinstance(default, enum.Enum) else default,
            "help": _one_sentence(field.metadata.get("help") or documented.get(field.name, "")),
        }
        if choices := _choices(hints[field.name]):
            entry["choices"] = choices
        described[field.name] = entry
    return described


def _types(hint: Any) -> set[str]:
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return set().union(*(_types(part) for part in typing.get_args(hint)))
    if hint is types.NoneType:
        return {"null"}
    origin = typing.get_origin(hint) or hint
    if isinstance(origin, type) and issubclass(origin, enum.Enum):
        return {"str"}
    return {"list" if origin is list else "dict" if origin is dict else origin.__name__}


def _choices(hint: Any) -> list[str]:
    parts = typing.get_args(hint) or (hint,)
    return [item.value for part in parts if isinstance(part, type) and issubclass(part, enum.Enum) for item in part]


def _documented(config: type) -> dict[str, str]:
    """Return the help texts of the numpy-style docstrings of a config and its bases, by field."""
    texts: dict[str, str] = {}
    for base in reversed(config.__mro__):
        pattern = r"^ {8}(\w+) \(`[^\n]*\):\n((?: {12}[^\n]*\n|\n)+)"
        for name, body in re.findall(pattern, base.__doc__ or "", flags=re.MULTILINE):
            texts[name] = body
    return texts


def _one_sentence(text: str) -> str:
    flat = re.sub(r"\s+", " ", text.replace("%%", "%")).strip()
    return re.split(r"(?<=[.!?]) (?=[A-Z`])", flat, maxsplit=1)[0]


if __name__ == "__main__":
    main()
