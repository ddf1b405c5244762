"""What a reward makes of a model's own answers: whether it can teach anything, told before the training."""

from __future__ import annotations

import html
import json
import math
import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tunelab.data import reading
from tunelab.errors import DataError, SpecError
from tunelab.tables import table

#: Beyond these shares a report warns.
_FLAT, _MISSING, _CUT, _WITH_LENGTH, _ALL_RIGHT, _ALL_WRONG = 0.5, 0.1, 0.2, 0.5, 0.95, 0.02
_BARS = "▁▂▃▄▅▆▇█"
_STATUS = {
    "error": "the function raised",
    "timeout": "took too long",
    "invalid": "no finite number",
    "unparsed": "the reply cannot be read",
    "failed": "the feedback model could not be asked",
}


@dataclass(frozen=True)
class RewardReport:
    """Scores of answers, a prompt's together, and what they say of the reward.

    `samples` are mappings with prompt, completion, reward (None where there is none), parts, group, status, note, and
    where the answers were sampled tokens and cut. `labels` are scores of people for some of them, by place.
    """

    samples: tuple[Mapping[str, Any], ...]
    labels: Mapping[int, float]
    seconds: float | None = None

    @classmethod
    def of(cls, samples: Sequence[Mapping[str, Any]], labels: Any = None, seconds: float | None = None) -> RewardReport:
        """Return the report on scored answers.

        Parameters
        ----------
        labels
            A list with a number or None for each sample, or rows with completion (and prompt) and label.

        Raises
        ------
        SpecError
            If there are no samples, or the labels do not fit them.
        """
        if not samples:
            raise SpecError("There are no answers to score.")
        return cls(tuple(samples), _labels(labels, samples), seconds)

    @property
    def rewards(self) -> list[float]:
        """The rewards that there are."""
        return [one["reward"] for one in self.samples if one["reward"] is not None]

    @property
    def groups(self) -> list[list[Mapping[str, Any]]]:
        """The answers, those of a prompt together."""
        found: dict[Any, list[Mapping[str, Any]]] = defaultdict(list)
        for one in self.samples:
            found[one["group"]].append(one)
        return list(found.values())

    @property
    def mean(self) -> float:
        """The mean reward; NaN where there is none."""
        return statistics.fmean(self.rewards) if self.rewards else math.nan

    @property
    def std(self) -> float:
        """The standard deviation of all rewards."""
        return statistics.pstdev(self.rewards) if self.rewards else math.nan

    @property
    def spread(self) -> float:
        """The mean standard deviation of the rewards within a prompt, from which a policy learns; NaN as `flat`."""
        spreads = [statistics.pstdev(found) for found in self._compared()]
        return statistics.fmean(spreads) if spreads else math.nan

    @property
    def flat(self) -> float:
        """The share of prompts whose answers all have the same reward: they teach nothing.

        Of the prompts with two rewards at least, since one has nothing to be compared with; NaN where there are none.
        """
        found = self._compared()
        return sum(len(set(rewards)) < 2 for rewards in found) / len(found) if found else math.nan

    @property
    def scored(self) -> float:
        """The share of answers that have a reward."""
        return len(self.rewards) / len(self.samples)

    @property
    def cut(self) -> float:
        """The share of answers that were cut off."""
        return statistics.fmean(bool(one.get("cut")) for one in self.samples)

    @property
    def with_length(self) -> float | None:
        """How the reward goes with length in characters, by ranks (Spearman); None where it cannot be said."""
        there = [one for one in self.samples if one["reward"] is not None]
        return spearman([one["reward"] for one in there], [len(one["completion"]) for one in there])

    @property
    def agreement(self) -> tuple[float | None, float | None]:
        """How the reward goes with people's labels: Spearman, and the share of unequal pairs in their order."""
        pairs = [
            (self.samples[place]["reward"], label)
            for place, label in self.labels.items()
            if self.samples[place]["reward"] is not None
        ]
        rewards, labels = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
        ordered = [
            0.5 if a[0] == b[0] else float((a[0] < b[0]) == (a[1] < b[1]))
            for place, a in enumerate(pairs)
            for b in pairs[place + 1 :]
            if a[1] != b[1]
        ]
        return spearman(rewards, labels), statistics.fmean(ordered) if ordered else None

    @property
    def warnings(self) -> list[str]:
        """What speaks against training with this reward, as sentences."""
        found = []
        if self.scored == 0:
            found.append("No answer has a reward: nothing can be learned.")
        elif self.scored < 1 - _MISSING:
            found.append(f"{1 - self.scored:.0%} of the answers have no reward.")
        if self.flat == 1.0:
            found.append("Within every prompt all answers have the same reward: nothing can be learned from it.")
        elif self.flat >= _FLAT:
            found.append(
                f"{self.flat:.0%} of the {len(self._compared())} prompts teach nothing: all their answers have the "
                "same reward. Prompts that are neither too easy nor too hard, a graded reward or more answers each "
                "would help."
            )
        if self.rewards and set(self.rewards) <= {0.0, 1.0}:
            if self.mean > _ALL_RIGHT:
                found.append("Nearly every answer gets the whole reward: there is little left to learn.")
            elif self.mean < _ALL_WRONG:
                found.append("Hardly any answer is rewarded: the model will not come upon what is right by chance.")
        if (with_length := self.with_length) is not None and abs(with_length) > _WITH_LENGTH:
            kind = "longer" if with_length > 0 else "shorter"
            found.append(
                f"The reward goes with length ({with_length:+.2f}): {kind} answers may be all that is learned."
            )
        if self.cut > _CUT:
            found.append(
                f"{self.cut:.0%} of the answers are cut off. Raise max_completion_length, or ask for short answers."
            )
        return found

    def facts(self) -> list[tuple[str, str]]:
        """Return what the report says, as pairs of name and value."""
        found = [("answers", f"{len(self.samples)} to {len(self.groups)} prompts")]
        if self.rewards:
            found.append(("reward", f"{self.mean:.3f} ± {self.std:.3f}  {_histogram(self.rewards)}"))
        if self._compared():
            found.append(("within a prompt", f"± {self.spread:.3f}; {self.flat:.0%} of the prompts teach nothing"))
        for name in sorted({name for one in self.samples for name in one["parts"]}):
            values = [one["parts"][name] for one in self.samples if name in one["parts"]]
            found.append((f"  {name}", f"{statistics.fmean(values):.3f} ± {statistics.pstdev(values):.3f}"))
        if self.scored < 1:
            counts: dict[str, list[str]] = defaultdict(list)
            for one in self.samples:
                if one["reward"] is None:
                    counts[one["status"]].append(one["note"])
            kinds = [f"{len(notes)} {_STATUS.get(kind, kind)} ({notes[0]})" for kind, notes in counts.items()]
            found.append(("without a reward", f"{1 - self.scored:.0%}: " + "; ".join(kinds)))
        if (with_length := self.with_length) is not None:
            found.append(("with length", f"{with_length:+.2f} (rank correlation)"))
        if any("tokens" in one and one["tokens"] is not None for one in self.samples):
            lengths = [one["tokens"] for one in self.samples]
            found.append(("length", f"{statistics.fmean(lengths):.0f} tokens; {self.cut:.0%} cut off"))
        if self.labels:
            ranks, ordered = self.agreement
            told = [
                f"{ranks:+.2f} (rank correlation)" if ranks is not None else "",
                f"{ordered:.0%} of the pairs in people's order" if ordered is not None else "",
            ]
            found.append((f"with {len(self.labels)} labels", ", ".join(filter(None, told)) or "cannot be said"))
        if self.seconds is not None:
            found.append(("time", f"{self.seconds:.1f} s"))
        return found

    def to_pandas(self) -> Any:
        """Return the answers as a DataFrame: a row each, a column for each part."""
        import pandas as pd

        rows = [
            {key: value for key, value in one.items() if key != "parts"}
            | {name: value for name, value in one["parts"].items() if name not in one}
            | ({"label": self.labels[place]} if place in self.labels else {})
            for place, one in enumerate(self.samples)
        ]
        return pd.DataFrame(rows)

    def _compared(self) -> list[list[float]]:
        """Return the rewards of each prompt that has several."""
        found = ([one["reward"] for one in group if one["reward"] is not None] for group in self.groups)
        return [rewards for rewards in found if len(rewards) > 1]

    def _extremes(self) -> list[tuple[str, Mapping[str, Any]]]:
        there = [one for one in self.samples if one["reward"] is not None]
        if not there:
            return []
        best, worst = max(there, key=lambda one: one["reward"]), min(there, key=lambda one: one["reward"])
        return [("best", best), ("worst", worst)] if best["reward"] > worst["reward"] else [("all alike", best)]

    def __repr__(self) -> str:
        facts = self.facts()
        width = max(len(name) for name, _ in facts)
        lines = ["Reward on the model's answers", *(f"  {name.ljust(width)}  {value}" for name, value in facts)]
        lines += [f"  warning: {warning}" for warning in self.warnings]
        for name, one in self._extremes():
            lines.append(f"  {name} ({one['reward']:.3g}): {_line(one['prompt'])} → {_line(one['completion'])}")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        left = 'style="text-align:left"'
        facts = "".join(
            f"<tr><th {left}>{html.escape(name)}</th><td {left}>{html.escape(value)}</td></tr>"
            for name, value in self.facts()
        )
        warnings = "".join(f"<li>{html.escape(warning)}</li>" for warning in self.warnings)
        examples = [
            {"": name, "reward": f"{one['reward']:.3g}", "prompt": one["prompt"], "answer": one["completion"]}
            for name, one in self._extremes()
        ]
        return (
            f"<table><caption>Reward on the model's answers</caption><tbody>{facts}</tbody></table>"
            + (f"<ul>{warnings}</ul>" if warnings else "")
            + (table(examples) if examples else "")
        )


def given(completions: Any) -> list[dict[str, Any]]:
    """Return the rows of answers to be scored, as JSON can carry them to the process that scores.

    Parameters
    ----------
    completions
        A DataFrame, a `datasets.Dataset`, or mappings; each row with completion, and maybe a prompt.

    Raises
    ------
    SpecError
        If they are no rows, or a cell is nothing that a reward can read; the message names row and column.
    """
    if not reading.is_table(completions):
        if isinstance(completions, (str, bytes, Mapping)) or not hasattr(completions, "__iter__"):
            raise SpecError("completions is to be a DataFrame or a list of rows, each with 'completion'.")
        completions = list(completions)
        for number, row in enumerate(completions, 1):
            if not isinstance(row, Mapping):
                raise SpecError(f"completions, row {number}: it needs a text 'completion'.")
    try:
        rows = list(reading.read_table(completions))
    except DataError as error:
        raise SpecError(f"completions: {error}") from error
    if not rows:
        raise SpecError("completions is empty.")
    return [_given(row, number) for number, row in enumerate(rows, 1)]


def _given(row: dict[str, Any], number: int) -> dict[str, Any]:
    if not isinstance(row.get("completion"), str):
        raise SpecError(f"completions, row {number}: it needs a text 'completion'.")
    prompt = "" if row.get("prompt") is None else row["prompt"]
    turns = isinstance(prompt, list) and bool(prompt) and all(isinstance(turn, Mapping) for turn in prompt)
    if not isinstance(prompt, str) and not turns:
        raise SpecError(f"completions, row {number}: 'prompt' is to be a text or a list of messages.")
    for name, cell in row.items():
        try:
            json.dumps(cell)
        except (TypeError, ValueError, RecursionError) as error:
            raise SpecError(
                f"completions, row {number}: '{name}' has a value of type {type(cell).__name__}, which a reward cannot "
                "be given. Make it a text, a number, or lists and mappings of them."
            ) from error
    return row | {"prompt": prompt} if "prompt" in row else row


def spearman(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Return the rank correlation of two series, ties by their mean rank; None where one does not vary."""
    if len(first) < 3 or len(set(first)) < 2 or len(set(second)) < 2:
        return None
    return statistics.correlation(_ranks(first), _ranks(second))


def _ranks(values: Sequence[float]) -> list[float]:
    ordered = sorted(values)
    first: dict[float, int] = {}
    count: dict[float, int] = defaultdict(int)
    for place, value in enumerate(ordered):
        first.setdefault(value, place)
        count[value] += 1
    return [first[value] + (count[value] - 1) / 2 for value in values]


def _labels(labels: Any, samples: Sequence[Mapping[str, Any]]) -> dict[int, float]:
    if labels is None:
        return {}
    if reading.is_table(labels):
        labels = list(reading.read_table(labels))
    elif isinstance(labels, (str, bytes, Mapping)) or not hasattr(labels, "__iter__"):
        raise SpecError("labels is to be a list of numbers, or rows with completion and label.")
    # What is missing in a column of pandas is NaN.
    labels = [None if isinstance(one, float) and math.isnan(one) else one for one in labels]
    if labels and all(isinstance(one, Mapping) for one in labels):
        return _labels_by_text(labels, samples)
    if len(labels) != len(samples):
        raise SpecError(
            f"labels has {len(labels)} numbers for {len(samples)} answers: give one for each (None where there is "
            "none), or rows with completion and label."
        )
    return {place: _label(value, place + 1) for place, value in enumerate(labels) if value is not None}


def _labels_by_text(labels: list[Mapping[str, Any]], samples: Sequence[Mapping[str, Any]]) -> dict[int, float]:
    found: dict[int, float] = {}
    for number, row in enumerate(labels, 1):
        if "completion" not in row or "label" not in row:
            raise SpecError(f"labels, row {number}: it needs 'completion' and 'label'.")
        for place, one in enumerate(samples):
            same = one["completion"].strip() == str(row["completion"]).strip()
            if same and ("prompt" not in row or one["prompt"] == row["prompt"]) and row["label"] is not None:
                found[place] = _label(row["label"], number)
    if not found:
        raise SpecError("No label is of an answer that was scored: give completions and labels of the same texts.")
    return found


def _label(value: Any, number: int) -> float:
    try:
        label = float(value)
    except (TypeError, ValueError):
        label = math.nan
    if not math.isfinite(label):
        raise SpecError(f"labels, row {number}: {value!r} is no number.")
    return label


def _histogram(values: Sequence[float], bins: int = 10) -> str:
    low, high = min(values), max(values)
    if low == high:
        return f"all {low:.3g}"
    counts = [0] * bins
    for value in values:
        counts[min(bins - 1, int((value - low) / (high - low) * bins))] += 1
    bars = "".join(" " if not count else _BARS[round(count / max(counts) * (len(_BARS) - 1))] for count in counts)
    return f"{low:.3g} {bars} {high:.3g}"


def _line(text: str, width: int = 100) -> str:
    line = " ".join(str(text).split())
    return line if len(line) <= width else f"{line[: width - 1]}…"
