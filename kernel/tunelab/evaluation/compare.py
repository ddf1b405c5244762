"""Models held against a baseline, record by record: how many improved, by how much, and whether that can be told.

Records are paired by id, never by place. A record without a score on both sides is in no pair; it is in the coverage.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

#: Two scores that differ by no more are equal: what is left over of sums such as 0.1 + 0.2.
EQUAL_WITHIN = 1e-9
_RESAMPLES = 10_000
#: Draws that are held at a time.
_AT_A_TIME = 20_000_000
_LEVEL = 0.95
#: Quantiles of the normal distribution for a two-sided test at 5% and a power of 80%.
_Z = 1.959964 + 0.841621
#: A column of numbers with more different values is split into quarters.
_MOST_VALUES = 12


@dataclass(frozen=True)
class Summary:
    """One model by one metric, against the baseline.

    `improved`, `equal` and `degraded` are fractions of the pairs that have a score on both sides; `low` and `high`
    bound the mean difference with 95% (bootstrap over records); `p_value` is of an exact two-sided test: the sign test
    over pairs that differ, which for scores of 0 and 1 is McNemar's. `needed` is how many pairs would tell a difference
    of this size, where these do not. Of the baseline's own row only `mean` and the counts are given.
    """

    metric: str
    model: str
    mean: float | None
    improved: float | None
    equal: float | None
    degraded: float | None
    difference: float | None
    low: float | None
    high: float | None
    p_value: float | None
    scored: int
    unscored: int
    baseline: str | None
    baseline_mean: float | None
    pairs: int
    test: str | None
    win_rate: float | None
    needed: int | None
    verdict: str
    flipped: int
    human: int

    def as_dict(self) -> dict[str, Any]:
        """Return the fields by name."""
        return asdict(self)


def summarize(
    records: pd.DataFrame,
    models: Sequence[str],
    seed: int = 0,
    scores: str = "score",
    equal_within: float = EQUAL_WITHIN,
) -> list[Summary]:
    """Return a summary for each metric and model, in the order of the metrics and of `models`.

    Parameters
    ----------
    records
        Lines with ``id``, ``model``, ``metric``, ``against`` and the scores (NaN where there is none).
    models
        The first is the baseline.
    seed
        Of the bootstrap; the same records give the same interval in whatever order they come.
    scores
        The column with the scores.
    equal_within
        Differences up to this count as equal.
    """
    found = []
    for metric, lines in records.groupby("metric", sort=False):
        by_model = {model: lines[lines["model"] == model] for model in models}
        for model in models:
            own = by_model[model]
            if own.empty and (model == models[0] or lines["against"].notna().any()):
                continue
            base = by_model[models[0]]
            found.append(_summary(str(metric), model, models[0], own, base, seed, scores, equal_within))
    return found


def by(
    records: pd.DataFrame, models: Sequence[str], column: str, seed: int = 0, equal_within: float = EQUAL_WITHIN
) -> pd.DataFrame:
    """Return the summary of each part of the records that has one value in `column`; numbers in quarters if many."""
    import pandas as pd

    values = records[column]
    if pd.api.types.is_numeric_dtype(values) and values.nunique() > _MOST_VALUES:
        values = pd.qcut(values, 4, duplicates="drop").astype(str)
    shown = values.map(lambda value: "" if value is None or value != value else str(value))
    rows = [
        {column: value} | one.as_dict()
        for value, part in records.groupby(shown, sort=True)
        for one in summarize(part, models, seed, equal_within=equal_within)
    ]
    return pd.DataFrame(rows)


def interval(differences: Floats, seed: int = 0, level: float = _LEVEL) -> tuple[float, float]:
    """Return the bootstrap's percentile interval of a mean (Efron 1979), the same in whatever order they come.

    The resamples are drawn as multinomial counts over the different values; of -x they are those of x, so that swapped
    sides have the mirrored interval.
    """
    import numpy as np

    values, counts = np.unique(differences, return_counts=True)
    if len(values) < 2:
        return (float(values[0]), float(values[0])) if len(values) else (math.nan, math.nan)
    # The side on which it is drawn is chosen by the data, so that -x gives the mirrored interval to the last bit.
    turned = -values[::-1]
    is_turned = (turned.tolist(), counts[::-1].tolist()) > (values.tolist(), counts.tolist())
    if is_turned:
        values, counts = turned, counts[::-1]
    draw = np.random.default_rng(seed)
    total = int(counts.sum())
    means = np.empty(_RESAMPLES)
    step = max(1, _AT_A_TIME // len(values))
    for begin in range(0, _RESAMPLES, step):
        size = min(step, _RESAMPLES - begin)
        means[begin : begin + size] = draw.multinomial(total, counts / total, size) @ values / total
    tail = (1 - level) / 2
    low, high = (float(end) for end in np.quantile(means, [tail, 1 - tail]))
    return (-high, -low) if is_turned else (low, high)


def exact_p(better: int, worse: int) -> float:
    """Return the two-sided p of the sign test: a binomial with one half over the pairs that differ; 1 without any.

    For scores of 0 and 1 it is the exact test of McNemar (1947).
    """
    from scipy.stats import binomtest

    return float(binomtest(better, better + worse).pvalue) if better + worse else 1.0


def needed(differences: Floats) -> int | None:
    """Return how many pairs tell the mean of these differences: (z · sd / mean)², with 80% power at 5% two-sided.

    The normal approximation for paired samples (Chow, Shao and Wang 2008, section 3.1). None where the mean is 0, or
    the differences do not vary.
    """
    mean, spread = float(differences.mean()), float(differences.std(ddof=1)) if len(differences) > 1 else 0.0
    if mean == 0 or spread == 0:
        return None
    return math.ceil((_Z * spread / mean) ** 2)


def _summary(
    metric: str,
    model: str,
    baseline: str,
    own: pd.DataFrame,
    base: pd.DataFrame,
    seed: int,
    scores: str,
    equal_within: float,
) -> Summary:
    import numpy as np

    values = own[scores].to_numpy(dtype=float)
    scored = int(np.isfinite(values).sum())
    fixed = {
        "metric": metric,
        "model": model,
        "scored": scored,
        "unscored": len(own) - scored,
        "flipped": int(own["flipped"].fillna(False).astype(bool).sum()) if "flipped" in own else 0,
        "human": int(own["human_score"].notna().sum()) if "human_score" in own else 0,
    }
    mean = float(np.nanmean(values)) if scored else None
    is_pairwise = bool(own["against"].notna().any()) if "against" in own else False
    if model == baseline:
        return Summary(**fixed, mean=mean, **_NOTHING, baseline=None, baseline_mean=None, pairs=0, verdict="")
    if is_pairwise:
        kept = values[np.isfinite(values)]
        here, there = kept, 1 - kept
    else:
        sides = (
            own.set_index("id")[[scores]].join(base.set_index("id")[[scores]], how="inner", rsuffix="_base").dropna()
        )
        here, there = sides[scores].to_numpy(dtype=float), sides[f"{scores}_base"].to_numpy(dtype=float)
    pairs = len(here)
    if not pairs:
        verdict = f"Nothing to compare: no record has a score on both sides ({len(own)} of {model}, {len(base)} of {baseline})."
        return Summary(**fixed, mean=mean, **_NOTHING, baseline=baseline, baseline_mean=None, pairs=0, verdict=verdict)
    differences = here - there
    differences[np.abs(differences) <= equal_within] = 0.0
    better, worse = int((differences > 0).sum()), int((differences < 0).sum())
    low, high = interval(differences, seed)
    difference = math.fsum(differences) / pairs
    p_value = exact_p(better, worse)
    is_binary = not is_pairwise and set(np.unique(here)) | set(np.unique(there)) <= {0.0, 1.0}
    is_told = p_value < 1 - _LEVEL and not low <= 0 <= high
    more = None if is_told else needed(differences)
    return Summary(
        **fixed,
        mean=mean,
        improved=better / pairs,
        equal=(pairs - better - worse) / pairs,
        degraded=worse / pairs,
        difference=difference,
        low=low,
        high=high,
        p_value=p_value,
        baseline=baseline,
        baseline_mean=math.fsum(there) / pairs,
        pairs=pairs,
        test="mcnemar" if is_binary else "sign",
        win_rate=(better + (pairs - better - worse) / 2) / pairs,
        needed=more if more is None or more > pairs else pairs + 1,
        verdict=_verdict(difference, low, high, p_value, pairs, more),
    )


_NOTHING: dict[str, Any] = dict.fromkeys(
    ("improved", "equal", "degraded", "difference", "low", "high", "p_value", "test", "win_rate", "needed")
)


def _verdict(difference: float, low: float, high: float, p_value: float, pairs: int, more: int | None) -> str:
    shown = f"{difference:+.2f} (95%: {low:+.2f} to {high:+.2f})"
    if p_value < 1 - _LEVEL and not low <= 0 <= high:
        return f"{'Better' if difference > 0 else 'Worse'}: {shown}."
    if difference == 0 or more is None:
        return f"No difference to be told: {shown}, {pairs} pairs."
    if more <= pairs:
        # Mean and signs do not say the same: a few large differences, or many small ones.
        return f"Not clear: {shown}, and the test of how often (p = {p_value:.2g}) and of how much do not agree."
    return f"Too few records to tell: {shown}. About {more:,} pairs would do for a difference of this size; there are {pairs:,}."


__all__ = ["EQUAL_WITHIN", "Summary", "by", "exact_p", "interval", "needed", "summarize"]
