"""What lm-eval's results say of each question and of each task, in the columns that every evaluation has."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from tunelab.evaluation.tasks.names import require


def records(model: str, results: dict[str, Any], told: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return a record for each question and metric; a metric of a whole task alone has none.

    `told` is what an endpoint told of its replies, by prompt.
    """
    found = []
    for task, samples in results["samples"].items():
        for sample in samples:
            asked = sample["arguments"][0][0]
            # An endpoint is asked in turns, which lm-eval has as JSON in a tuple.
            note = told.get(asked[0]) if isinstance(asked, tuple) else None
            prompt = _turns(asked[0]) if isinstance(asked, tuple) else asked
            for metric in sample["metrics"]:
                score = _number(sample[metric])
                if score is None:
                    continue
                prediction, raw = _prediction(sample, metric)
                found.append(
                    {
                        "id": f"{task}/{sample['doc_id']}",
                        "number": sample["doc_id"] + 1,
                        "model": model,
                        "metric": _metric(task, metric, sample["filter"]),
                        "prompt": prompt,
                        "ground_truth": _ground_truth(sample),
                        "prediction": prediction,
                        "score": score,
                        "label": None,
                        "reasoning": "",
                        "raw": raw,
                        "status": "scored",
                        "note": "",
                        "against": None,
                        "flipped": False,
                        "latency_s": note.latency_s if note else None,
                        "tokens_in": note.tokens_in if note else None,
                        "tokens_out": note.tokens_out if note else None,
                        "cost": None,
                        "cut": False,
                        "task": task,
                    }
                )
    return found


def numbers(model: str, results: dict[str, Any], seed: int, limit: int | None, is_chat: bool) -> list[dict[str, Any]]:
    """Return lm-eval's numbers, a row for each task or group, metric and filter, with what they depend on."""
    seeds = dict.fromkeys(("random", "numpy", "torch", "fewshot"), seed)
    rows = []
    for task, values in results["results"].items():
        count = results["n-samples"].get(task, {}).get("effective") or sum(
            results["n-samples"].get(name, {}).get("effective", 0)
            for name in _tasks_of(task, results["group_subtasks"])
        )
        for key, value in values.items():
            metric, comma, kind = key.partition(",")
            if not comma or metric.endswith("_stderr") or _number(value) is None:
                continue
            rows.append(
                {
                    "task": task,
                    "metric": metric,
                    "filter": kind,
                    "model": model,
                    "value": float(value),
                    "stderr": _number(values.get(f"{metric}_stderr,{kind}")),
                    "n": count,
                    "n_shot": results["n-shot"].get(task),
                    "seeds": seeds,
                    "chat_template": is_chat,
                    "limit": limit,
                    "version": results["versions"].get(task),
                    "lm_eval": require(),
                    "higher_is_better": results["higher_is_better"].get(task, {}).get(metric),
                }
            )
    return rows


def _turns(text: str) -> str:
    return "\n\n".join(f"{turn['role']}: {turn['content']}" for turn in json.loads(text))


def _tasks_of(group: str, members: dict[str, list[str]]) -> set[str]:
    found = set()
    for name in members.get(group, []):
        found |= _tasks_of(name, members) if name in members else {name}
    return found


def _metric(task: str, metric: str, kind: str) -> str:
    return f"{task}/{metric}" if kind == "none" else f"{task}/{metric},{kind}"


def _prediction(sample: dict[str, Any], metric: str) -> tuple[str, str]:
    """Return what was scored, and the reply as it came.

    Of choices it is the likeliest one's text: by what its log-likelihood is a character, or a byte, where the metric
    takes that.
    """
    replies = sample["filtered_resps"]
    if not _is_choice(sample):
        raw = sample["resps"][0][0]
        return str(replies[0]), raw if isinstance(raw, str) else ""
    texts = _choices(sample)
    values = [float(reply[0]) for reply in replies[: len(texts)]]
    if metric == "acc_norm":
        values = [value / max(1, len(text)) for value, text in zip(values, texts, strict=True)]
    elif metric == "acc_bytes":
        values = [value / max(1, len(text.encode())) for value, text in zip(values, texts, strict=True)]
    return texts[max(range(len(values)), key=values.__getitem__)], ""


def _is_choice(sample: dict[str, Any]) -> bool:
    return len(sample["arguments"]) > 1 and all(
        len(asked) > 1 and isinstance(asked[1], str) for asked in sample["arguments"]
    )


def _choices(sample: dict[str, Any]) -> list[str]:
    pairs = [asked for asked in sample["arguments"] if asked[0]] or sample["arguments"]
    # Where each choice is a context of its own, what follows is the same.
    place = 0 if len({asked[1] for asked in pairs}) == 1 else 1
    return [str(asked[place]).strip() for asked in pairs]


def _ground_truth(sample: dict[str, Any]) -> str | None:
    target = sample["target"]
    if instructions := sample["doc"].get("instruction_id_list"):
        # IFEval has no target but instructions, each of which is checked.
        return ", ".join(instructions)
    if _is_choice(sample) and isinstance(target, int) and not isinstance(target, bool):
        texts = _choices(sample)
        return texts[target] if 0 <= target < len(texts) else None
    if target is None:
        return None
    return target if isinstance(target, str) else str(target)


def _number(value: Any) -> float | None:
    """Return a number that is one, and None for a pair or list that only the whole task makes a number of."""
    if isinstance(value, bool) or type(value).__name__ == "bool_":
        return float(value)
    try:
        number = float(value) if not isinstance(value, str) else math.nan
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None
