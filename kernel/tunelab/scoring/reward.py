"""The reward of a job: the weighted sum of its parts, each asked at the same time as the others."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tunelab.registry.prompts import prompt_file
from tunelab.scoring.score import Case, Score, Scorer
from tunelab.spec.rewards import FeedbackReward, FunctionReward, PresetReward, RewardPart, part_name

#: Metrics of feedback models that add up.
_COUNTS = frozenset({"feedback/cost", "feedback/failures", "feedback/unparsed"})


class Reward:
    """Scores answers by several scorers.

    Parameters
    ----------
    scorers, weights
        Of the same length, at least one.
    computes
        Which scorers, by place, compute in this process: they are asked in the caller's thread, since another thread's
        OpenMP would put as many more threads on the same cores.
    names
        Other names than the scorers' own, where two have the same.
    """

    def __init__(
        self,
        scorers: Sequence[Scorer],
        weights: Sequence[float],
        computes: Collection[int] = (),
        names: Sequence[str] | None = None,
    ) -> None:
        self.scorers = list(scorers)
        self.weights = list(weights)
        self._computes = frozenset(computes)
        #: The scorers' names, which stand in ``rewards/NAME/mean``; each only once.
        self.names = [scorer.name for scorer in self.scorers] if names is None else list(names)
        self._pool = ThreadPoolExecutor(len(self.scorers), thread_name_prefix="tunelab-reward")

    def score(self, cases: Sequence[Case]) -> list[Score]:
        """Return the rewards of answers: ``value = Σ weight · score``.

        `parts` has each scorer's score, and what a function gave beside it. An answer that one of the scorers has no
        score for has no reward: a sum without it could not be compared with the others of the group.

        Raises
        ------
        Unreachable
            If a feedback model cannot be asked.
        """
        asked = [
            None if place in self._computes else self._pool.submit(scorer.score, cases)
            for place, scorer in enumerate(self.scorers)
        ]
        computed = {place: self.scorers[place].score(cases) for place in sorted(self._computes)}
        by_scorer = [computed[place] if future is None else future.result() for place, future in enumerate(asked)]
        return [self._sum(scores) for scores in zip(*by_scorer, strict=True)]

    def metrics(self) -> dict[str, float]:
        """Return what the scorers have to tell since the last call."""
        told: dict[str, list[float]] = {}
        for scorer in self.scorers:
            for key, value in scorer.metrics().items():
                told.setdefault(key, []).append(value)
        # Of several feedback models what is counted adds up.
        return {key: sum(values) / (1 if key in _COUNTS else len(values)) for key, values in told.items()}

    def close(self) -> None:
        """End what the scorers have started."""
        for scorer in self.scorers:
            scorer.close()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _sum(self, scores: tuple[Score, ...]) -> Score:
        parts: dict[str, float] = {}
        notes = []
        for name, score in zip(self.names, scores, strict=True):
            if score.value is not None:
                parts[name] = score.value
            # Several functions may name their parts alike.
            parts |= {key if len(scores) == 1 else f"{name}.{key}": value for key, value in score.parts.items()}
            if score.note:
                notes.append(score.note if len(scores) == 1 else f"{name}: {score.note}")
        missing = next((score for score in scores if score.value is None), None)
        note = "; ".join(notes)
        if missing is not None:
            return Score(None, missing.status, parts, note)
        total = sum(w * s.value for w, s in zip(self.weights, scores, strict=True) if s.value is not None)
        return Score(total, "scored", parts, note)


def build(parts: Sequence[RewardPart], folder: Path, say: Callable[[str], None], device: str = "cpu") -> Reward:
    """Return the reward that a resolved spec asks for.

    Parameters
    ----------
    parts
        As `spec.rewards.parts` gives them.
    folder
        Where the functions' sources and the reward prompts lie.
    say
        Told what is being loaded.
    device
        Where a feedback model of this machine runs, as torch calls it.
    """
    scorers = [scorer(part, folder, say, device) for part in parts]
    local = [place for place, part in enumerate(parts) if isinstance(part, FeedbackReward) and part.base_url is None]
    return Reward(scorers, [part.weight for part in parts], local, part_names(parts))


def part_names(parts: Sequence[RewardPart]) -> list[str]:
    """Return the name of each part for metric keys, numbered where two have the same."""
    names: list[str] = []
    for part in parts:
        name, number = part_name(part), 1
        while name in names:
            number += 1
            name = f"{part_name(part)}_{number}"
        names.append(name)
    return names


def scorer(part: RewardPart, folder: Path, say: Callable[[str], None] = lambda _: None, device: str = "cpu") -> Scorer:
    """Return what one part of a reward, or of an evaluation, scores by; see `build`."""
    if isinstance(part, FunctionReward):
        from tunelab.scoring.calls import FunctionScorer

        return FunctionScorer(folder / part.source, part.name, part.timeout_s)
    if isinstance(part, PresetReward):
        from tunelab.scoring.presets import preset

        return preset(part)
    assert isinstance(part, FeedbackReward)
    from tunelab.scoring.feedback import FeedbackScorer, backend
    from tunelab.scoring.prompts import RewardPrompt

    label, _, version = part.prompt.partition("@")
    template = (folder / prompt_file(part.prompt)).read_text(encoding="utf-8")
    return FeedbackScorer(RewardPrompt(label, int(version), template), part, backend(part, say, device))
