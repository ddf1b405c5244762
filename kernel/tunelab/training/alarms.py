"""Alarms of a reinforcement run: what goes wrong in silence, told once with the figures and what to do.

Each looks at the means over a few logged steps, since single steps of some dozen answers are noise. One that has rung
rings again only after its figure was well on the good side: between the two borders nothing changes.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

#: Means are over so many logged steps.
_STEPS = 5
#: What a step has few of, as it has of groups, has to last for so many as well.
_LONG = 20

#: Whether it rings, whether it is well on the good side again, the sentence, and the advice.
Verdict = tuple[bool, bool, str, str]
_QUIET: Verdict = (False, False, "", "")


@dataclass(frozen=True)
class Alert:
    """What rings: a code for programs, a sentence with the figures, and what to do."""

    code: str
    message: str
    advice: str


@dataclass
class Alarms:
    """Looks at each logged step of a run; what it has seen is in the journal, from which `refold` makes it again.

    Parameters
    ----------
    held_out
        How many answers to held-out prompts an evaluation rests on.
    """

    held_out: int = 32
    _series: dict[str, list[float]] = field(default_factory=dict)
    #: Held-out rewards, and how many training rewards there were at each.
    _held_out: list[tuple[float, float, int]] = field(default_factory=list)
    _ringing: set[str] = field(default_factory=set)

    @classmethod
    def refold(cls, events: Iterable[Mapping[str, Any]], held_out: int = 32) -> Alarms:
        """Return alarms that have seen the metrics of a journal's standing events."""
        alarms = cls(held_out)
        for event in events:
            if event["type"] == "metric":
                alarms.look(event["step"], event["values"])
        return alarms

    def look(self, step: int, values: Mapping[str, float | None]) -> list[Alert]:
        """Return what rings anew with the metrics that were logged at a step, by TRL's names."""
        for name, value in values.items():
            if value is not None and math.isfinite(value):
                self._series.setdefault(name, []).append(value)
        rung: list[Alert] = []
        if (held_out := values.get("eval_reward")) is not None and math.isfinite(held_out):
            error = self._deviation(values.get("eval_reward_std")) / math.sqrt(max(1, self.held_out))
            self._held_out.append((held_out, error, len(self._series.get("reward", []))))
            rung += self._decide("reward-hacking", *self._hacked())
        if "reward" in values or "loss" in values:
            for code, check in _CHECKS.items():
                rung += self._decide(code, *check(self._series))
        return rung

    def _deviation(self, held_out: float | None) -> float:
        """Return the standard deviation of held-out rewards; as in training where a batch of one answer has none.

        Where neither is known no fall can be told from chance.
        """
        if held_out is not None and math.isfinite(held_out):
            return held_out
        known = self._series.get("reward_std", [])[-_STEPS:]
        return statistics.fmean(known) if known else math.inf

    def _decide(self, code: str, rings: bool, clears: bool, message: str, advice: str) -> list[Alert]:
        if code in self._ringing:
            if clears:
                self._ringing.discard(code)
            return []
        if not rings:
            return []
        self._ringing.add(code)
        return [Alert(code, message, advice)]

    def _hacked(self) -> Verdict:
        """Reward hacking: what is rewarded in training rises, and on the held-out prompts it falls.

        The held-out reward has to be below its best by four standard errors, twice in a row, and the training reward's
        slope since that best has to be above zero by two standard errors: one evaluation of some dozen prompts may be
        down by chance.
        """
        if len(self._held_out) < 3:
            return _QUIET
        place = max(range(len(self._held_out)), key=lambda number: self._held_out[number][0])
        best, error, seen = self._held_out[place]
        later = self._held_out[place + 1 :]
        falls = len(later) >= 2 and all(value < best - 4 * max(error, own, 0.01) for value, own, _ in later[-2:])
        rewards = self._series.get("reward", [])[seen:]
        slope, slope_error = _slope(rewards)
        rises = len(rewards) >= 8 and slope > 2 * slope_error
        return (
            falls and rises,
            not later or later[-1][0] >= best - max(error, 0.01),
            f"The reward rises while the held-out one has fallen from {best:.3g} to "
            f"{later[-1][0] if later else best:.3g}: the model learns to please the reward, not to answer better.",
            "Read the best rollouts for what they exploit, add what they lack to the reward, give a KL term (beta "
            "0.04), or stop: the best checkpoint by held-out reward is kept.",
        )


def _recent(series: Mapping[str, list[float]], name: str) -> float | None:
    """Return the mean of a metric over the last steps; None before there are enough."""
    values = series.get(name, [])
    return statistics.fmean(values[-_STEPS:]) if len(values) >= _STEPS else None


def _above(name: str, border: float, clear: float, message: str, advice: str) -> Any:
    """Return a check that rings where a share's mean is at `border` or above, and clears below `clear`."""

    def check(series: Mapping[str, list[float]]) -> Verdict:
        share = _recent(series, name)
        if share is None:
            return _QUIET
        return share >= border, share < clear, message.format(share=_share(share)), advice

    return check


def _share(share: float) -> str:
    return f"{share:.0%}"


def _spread(series: Mapping[str, list[float]]) -> Verdict:
    """No spread: four groups in five, of the last steps and, within a tenth, of the last twenty.

    A step has some four groups. Where half of them are flat, as with a reward of right or wrong, four in five of five
    steps' twenty groups come about by chance in every second run.
    """
    share, lasting = _recent(series, "frac_reward_zero_std"), series.get("frac_reward_zero_std", [])[-_LONG:]
    if share is None:
        return _QUIET
    return (
        share >= 0.8 and statistics.fmean(lasting) >= 0.7,
        share < 0.6,
        f"In {_share(share)} of the groups all answers have the same reward: nothing is learned from them.",
        "Give prompts that are neither too easy nor too hard, a graded reward, more answers to a prompt "
        "(num_generations), or a higher temperature.",
    )


def _entropy(series: Mapping[str, list[float]]) -> Verdict:
    """Entropy collapse: a quarter of what it began with, and below 0.3 nats a token (an effective 1.35 choices)."""
    now, begin = _recent(series, "entropy"), series.get("entropy", [])[:_STEPS]
    if now is None:
        return _QUIET
    first = statistics.fmean(begin)
    return (
        now < 0.25 * first and now < 0.3,
        now > 0.5 * first or now > 0.5,
        f"Entropy has fallen from {first:.2f} to {now:.2f} nats a token: answers to a prompt are all but the same, and "
        "soon there is nothing to compare.",
        "Lower the learning rate, raise epsilon_high (0.28, as DAPO does) or the temperature, or stop.",
    )


def _length(series: Mapping[str, list[float]]) -> Verdict:
    """Length running away: twice what it began with, and by eight tokens at least, and still growing."""
    lengths = series.get("completions/mean_length", [])
    now = _recent(series, "completions/mean_length")
    if now is None or len(lengths) < 2 * _STEPS:
        return _QUIET
    first, before = statistics.fmean(lengths[:_STEPS]), statistics.fmean(lengths[-2 * _STEPS : -_STEPS])
    return (
        now > 2 * first and now > first + 8 and now > before,
        now < 1.5 * first,
        f"Answers have grown from {first:.0f} to {now:.0f} tokens on average, and go on growing.",
        "If the task does not need it: reward shortness (preset length), use loss_type dr_grpo, and see whether the "
        "reward pays for length.",
    )


def _kl(series: Mapping[str, list[float]]) -> Verdict:
    """KL beyond measure: 10 nats between policy and start is another model, not a better one (Gao et al. 2022)."""
    now = _recent(series, "kl")
    if now is None:
        return _QUIET
    return (
        now > 10,
        now < 5,
        f"The model is {now:.1f} nats away from its start (KL).",
        "Lower the learning rate, or raise beta.",
    )


_CHECKS: dict[str, Any] = {
    # From the first steps on: that is when it can be mended.
    "no-spread": _spread,
    "entropy-collapse": _entropy,
    "length-running-away": _length,
    "cut-off": _above(
        "completions/clipped_ratio",
        0.3,
        0.15,
        "{share} of the answers are cut off at max_completion_length, and are rewarded for half a sentence.",
        "Raise max_completion_length, ask for short answers in the prompt, or reward shortness.",
    ),
    "missing-rewards": _above(
        "reward_missing",
        0.2,
        0.1,
        "{share} of the answers have no reward.",
        "The rollouts say why, with the filter “without a reward”.",
    ),
    "unparsed-replies": _above(
        "reward_unparsed",
        0.2,
        0.1,
        "{share} of the feedback model's replies cannot be read.",
        "Ask for the JSON more plainly in the reward prompt, raise max_tokens, or take another feedback model.",
    ),
    "kl-high": _kl,
}


def _slope(values: list[float]) -> tuple[float, float]:
    """Return the slope of a least-squares line through equally spaced values, and its standard error."""
    count = len(values)
    if count < 3:
        return 0.0, math.inf
    middle, mean = (count - 1) / 2, statistics.fmean(values)
    spread = sum((place - middle) ** 2 for place in range(count))
    slope = sum((place - middle) * (value - mean) for place, value in enumerate(values)) / spread
    rest = sum((value - mean - slope * (place - middle)) ** 2 for place, value in enumerate(values))
    return slope, math.sqrt(rest / (count - 2) / spread)
