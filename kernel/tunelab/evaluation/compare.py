"""Models held against a baseline, record by record: how many improved, by how much, and whether that can be told.

Records are paired by id, never by place. A record without a score on both sides is in no pair; it is in the coverage.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

from tunelab.errors import Error

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

#: Two scores that differ by no more are equal: what is left over of sums such as 0.1 + 0.2.
EQUAL_WITHIN = 1e-9
_LEVEL, _POWER = 0.95, 0.8
#: Quantiles of the normal distribution for a two-sided test at 5% and a power of 80%.
_Z = NormalDist().inv_cdf((1 + _LEVEL) / 2) + NormalDist().inv_cdf(_POWER)
#: As many pairs that all differ one way have a two-sided p below 5%; five have 0.0625.
_FEWEST = 6
_RESAMPLES = 10_000
#: More different values are drawn as so many groups.
_GROUPS = 256
#: Draws that are held at a time.
_AT_A_TIME = 1_000_000
#: A column of numbers with more different values is split into quarters, and one of texts into no more parts.
_MOST_NUMBERS, _MOST_PARTS = 12, 200


@dataclass(frozen=True)
class Paired:
    """Two sides of the same records. `improved`, `equal` and `degraded` are fractions of the pairs.

    `low` and `high` bound the mean difference with 95% (bootstrap over records). `p_value` is of an exact two-sided
    test: the sign test over the pairs that differ, which is McNemar's where all scores are 0 or 1. `win_rate` counts
    half of the ties. `needed` is how many pairs would tell a difference of this size where these do not. Without a pair
    all but the counts is None.
    """

    improved: float | None = None
    equal: float | None = None
    degraded: float | None = None
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    p_value: float | None = None
    baseline_mean: float | None = None
    pairs: int = 0
    test: str | None = None
    win_rate: float | None = None
    needed: int | None = None
    verdict: str = ""


@dataclass(frozen=True)
class Summary:
    """One model by one metric, against the baseline; the numbers of `Paired` beside the mean and the coverage.

    `scored` and `unscored` add up to the records that any model has for the metric. Of the baseline's own row only
    `mean` and the counts are given.
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


#: The names of a summary's columns, in their order.
COLUMNS = tuple(field.name for field in fields(Summary))


def summarize(
    records: pd.DataFrame,
    models: Sequence[str],
    seed: int = 0,
    scores: str = "score",
    equal_within: float | Mapping[str, float] = EQUAL_WITHIN,
) -> list[Summary]:
    """Return a summary for each metric and model, in the order of the metrics and of `models`.

    Where a model was judged against the baseline (`against` is given) there is no row of the baseline's own.

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
        Scores that differ by no more count as equal; one number, or one a metric. A judge's expectation over its scale
        is hardly ever the same twice, so that only a wider one leaves any equal. It has no bearing on the difference.

    Raises
    ------
    Error
        If a record has two lines of one model and metric.
    """
    records = records[records["model"].isin(list(models))]
    twice = records.duplicated(["id", "model", "metric"])
    if twice.any():
        first = records[twice].iloc[0]
        raise Error(
            f"The record '{first['id']}' has two lines of the model '{first['model']}' and the metric "
            f"'{first['metric']}': records are paired by id, so each has one."
        )
    found = []
    for metric, lines in records.groupby("metric", sort=False, observed=True):
        name = str(metric)
        within = equal_within.get(name, EQUAL_WITHIN) if isinstance(equal_within, Mapping) else equal_within
        is_pairwise = "against" in lines and bool(lines["against"].notna().any())
        every = int(lines["id"].nunique())
        sides = {model: lines[lines["model"] == model] for model in models}
        for model in models[1:] if is_pairwise else models:
            against = None if model == models[0] else models[0]
            own, base = sides[model], None if is_pairwise or against is None else sides[against]
            found.append(_summary(name, model, against, own, base, every, seed, scores, within))
    return found


def by(
    records: pd.DataFrame,
    models: Sequence[str],
    column: str,
    seed: int = 0,
    equal_within: float | Mapping[str, float] = EQUAL_WITHIN,
) -> pd.DataFrame:
    """Return the summary of each part of the records that has one value in `column`, as text; without one last.

    Numbers with more than 12 different values are split into quarters of the records, named by their ends. The first
    column has the value, under the column's name, or ``column NAME`` where the summary has one of that name.

    Raises
    ------
    Error
        If there are more than 200 values.
    """
    import pandas as pd

    name = f"column {column}" if column in COLUMNS else column
    parts, labels = _parts(records, column)
    if len(labels) > _MOST_PARTS:
        raise Error(
            f"The column '{column}' has {len(labels):,} different values, and a split {_MOST_PARTS} at most: "
            "choose a column that many records have in common."
        )
    rows = [
        {name: label} | one.as_dict()
        for place, label in enumerate(labels)
        for one in summarize(records[parts == place], models, seed, equal_within=equal_within)
    ]
    return pd.DataFrame(rows, columns=[name, *COLUMNS])


def paired(here: Floats, there: Floats, seed: int = 0, equal_within: float = EQUAL_WITHIN) -> Paired:
    """Return how `here` compares with `there`, the baseline's scores of the same records; NaN on a side is no pair."""
    import numpy as np

    is_pair = np.isfinite(here) & np.isfinite(there)
    here, there = here[is_pair], there[is_pair]
    pairs = len(here)
    if not pairs:
        return Paired()
    differences = _rounded(here - there)
    signs = outcomes(differences, equal_within)
    better, worse = int((signs > 0).sum()), int((signs < 0).sum())
    ties = pairs - better - worse
    difference = float(_rounded(math.fsum(differences) / pairs))
    low, high = interval(differences, seed)
    p_value = exact_p(better, worse)
    # Of the mean and of the records: either may be without a direction, and they may have opposite ones.
    mean_way = (low > 0) - (high < 0)
    records_way = ((better > worse) - (better < worse)) * (p_value < 1 - _LEVEL)
    more = None
    if difference and (mean_way != records_way or not mean_way) and mean_way * records_way >= 0:
        more = needed(differences)
    is_binary = bool(np.isin(here, (0, 1)).all() and np.isin(there, (0, 1)).all())
    more = more if more is not None and more > pairs else None
    shown = span(difference, low, high)
    if mean_way and mean_way == records_way:
        verdict = f"{'Better' if mean_way > 0 else 'Worse'}: {shown}."
    elif better + worse == 0 and not differences.any():
        verdict = f"No difference to be told: the scores are equal in {_count(pairs)}."
    elif not difference:
        verdict = f"No difference to be told: {shown} over {_count(pairs)}."
    elif pairs == 1:
        verdict = f"Too few records to tell: there is 1 pair, with a difference of {difference:+.2g}."
    elif more:
        verdict = (
            f"Too few records to tell: about {more:,} pairs would do for a difference of this size, {shown}; "
            f"there are {pairs:,}."
        )
    else:
        verdict = f"Not clear: {shown} on average, with {better:,} improved and {worse:,} degraded (p = {p_value:.2g})."
    return Paired(
        improved=better / pairs,
        equal=ties / pairs,
        degraded=worse / pairs,
        difference=difference,
        low=low,
        high=high,
        p_value=p_value,
        baseline_mean=math.fsum(there) / pairs,
        pairs=pairs,
        test="mcnemar" if is_binary else "sign",
        win_rate=(better + ties / 2) / pairs,
        needed=more,
        verdict=verdict,
    )


def outcomes(differences: Floats, equal_within: float = EQUAL_WITHIN) -> Floats:
    """Return 1 where a difference is above what counts as equal, -1 where it is below, else 0; NaN stays NaN."""
    import numpy as np

    # 0.4 - 0.3 is a little more than 0.1.
    within = max(equal_within, EQUAL_WITHIN) + 1e-12
    found: Floats = np.where(np.abs(differences) <= within, 0.0, np.sign(differences))
    return found


def interval(differences: Floats, seed: int = 0, level: float = _LEVEL) -> tuple[float, float]:
    """Return the bootstrap's percentile interval of a mean (Efron 1979), the same in whatever order they come.

    Resamples are drawn as multinomial counts over the different values. Where there are many, groups of near values are
    drawn, and to the groups' means is added what varies within them, as a normal number: a resample of a group has that
    mean and variance, and one of few values is narrow. Of -x the interval is the mirrored one of x, to the last bit.
    """
    import numpy as np

    values, counts = np.unique(differences, return_counts=True)
    if len(values) < 2:
        return (float(values[0]), float(values[0])) if len(values) else (math.nan, math.nan)
    forward, backward = (values.tolist(), counts.tolist()), ((-values[::-1]).tolist(), counts[::-1].tolist())
    is_turned = backward > forward
    if is_turned:
        values, counts = -values[::-1], counts[::-1]
    centres, sizes, spreads = _groups(values, counts)
    draw = np.random.default_rng(seed)
    total = int(sizes.sum())
    means = np.empty(_RESAMPLES)
    noise = np.sqrt(1 / total) * draw.standard_normal(_RESAMPLES) if spreads.any() else np.zeros(_RESAMPLES)
    step = max(1, _AT_A_TIME // len(centres))
    for begin in range(0, _RESAMPLES, step):
        part = slice(begin, min(begin + step, _RESAMPLES))
        shares = draw.multinomial(total, sizes / total, part.stop - part.start) / total
        means[part] = shares @ centres + np.sqrt(shares @ spreads) * noise[part]
    tail = (1 - level) / 2
    low, high = (float(end) for end in np.quantile(means, [tail, 1 - tail]))
    if forward == backward:
        # Both sides are the same, and so are the ends.
        low, high = -(high - low) / 2, (high - low) / 2
    low, high = (-high, -low) if is_turned else (low, high)
    return float(_rounded(low)), float(_rounded(high))


def exact_p(better: int, worse: int) -> float:
    """Return the two-sided p of the sign test: a binomial with one half over the pairs that differ; 1 without any.

    For scores of 0 and 1 it is the exact test of McNemar (1947).
    """
    from scipy.stats import binomtest

    return float(binomtest(better, better + worse).pvalue) if better + worse else 1.0


def needed(differences: Floats) -> int | None:
    """Return how many pairs tell the mean of these differences: (z · sd / mean)², with 80% power at 5% two-sided.

    The normal approximation for paired samples (Chow, Shao and Wang 2008, section 3.1), and no less than the six that
    the sign test asks for. None where the mean is 0, or one difference alone does not show how they vary.
    """
    size = len(differences)
    mean = math.fsum(differences) / size if size else 0.0
    if size < 2 or abs(mean) <= EQUAL_WITHIN:
        return None
    variance = math.fsum((differences - mean) ** 2) / (size - 1)
    return max(_FEWEST, math.ceil(_Z**2 * variance / mean**2))


def span(difference: float, low: float, high: float) -> str:
    """Return a difference with its interval in words, with as many decimals as tell its ends from 0."""
    least = min((abs(value) for value in (difference, low, high) if value), default=1.0)
    places = min(4, max(2, -math.floor(math.log10(least))))
    return f"{difference:+.{places}f} (95% {low:+.{places}f} to {high:+.{places}f})"


def _summary(
    metric: str,
    model: str,
    baseline: str | None,
    own: pd.DataFrame,
    base: pd.DataFrame | None,
    every: int,
    seed: int,
    scores: str,
    equal_within: float,
) -> Summary:
    """Return a row: of the baseline's own where `baseline` is None, by verdicts on both sides where `base` is."""
    import numpy as np

    values = own[scores].to_numpy(dtype=float)
    kept = values[np.isfinite(values)]
    if baseline is None:
        told = asdict(Paired())
    elif base is None:
        # A verdict is on both sides: 1 against 0, or one half each.
        told = asdict(paired(values, 1 - values, seed, equal_within)) | {"test": "sign" if len(kept) else None}
    else:
        there = base.set_index("id")[scores].reindex(own["id"]).to_numpy(dtype=float)
        told = asdict(paired(values, there, seed, equal_within))
    if baseline is not None and not told["pairs"]:
        told["verdict"] = "Nothing to compare: no record has a score on both sides."
    return Summary(
        metric=metric,
        model=model,
        mean=math.fsum(kept) / len(kept) if len(kept) else None,
        scored=len(kept),
        unscored=every - len(kept),
        baseline=baseline,
        flipped=int((own["flipped"] == True).sum()) if "flipped" in own else 0,  # noqa: E712 - None is not flipped
        human=int(own["human_score"].notna().sum()) if "human_score" in own else 0,
        **told,
    )


def _groups(values: Floats, counts: NDArray[np.int64]) -> tuple[Floats, NDArray[np.int64], Floats]:
    """Return the means, sizes and variances of values in groups of one width; each value by itself where they are few.

    Groups of one width, not of one size: an outlier is by itself, and a group with much within it has many values.
    """
    import numpy as np

    if len(values) <= _GROUPS:
        return values, counts, np.zeros(len(values))
    reach = (values - values[0]) / (values[-1] - values[0])
    places = np.minimum((reach * _GROUPS).astype(int), _GROUPS - 1)
    sizes = np.bincount(places, counts, _GROUPS)
    filled = np.flatnonzero(sizes)
    means = np.bincount(places, counts * values, _GROUPS) / np.maximum(sizes, 1)
    spreads = np.bincount(places, counts * (values - means[places]) ** 2, _GROUPS) / np.maximum(sizes, 1)
    return means[filled], sizes[filled].astype(int), spreads[filled]


def _parts(records: pd.DataFrame, column: str) -> tuple[NDArray[np.int64], list[str]]:
    """Return each line's part of a split, and what the parts are called, in their order."""
    import numpy as np
    import pandas as pd

    values = records[column]
    is_number = pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)
    if not is_number or values.nunique() <= _MOST_NUMBERS:
        texts = [_text(value) for value in values]
        known = dict(zip(texts, values, strict=True))
        order = sorted(known, key=lambda text: (text == "", known[text] if is_number and text else 0, text))
        place = {text: number for number, text in enumerate(order)}
        return np.array([place[text] for text in texts], dtype=np.int64), order
    numbers = values.to_numpy(dtype=float, na_value=math.nan)
    # A record counts once, however many lines it has.
    one_each = numbers[~records.duplicated("id").to_numpy()]
    edges = np.unique(np.nanquantile(one_each, [0.25, 0.5, 0.75], method="inverted_cdf"))
    # Without a number it is the last part: NaN is sorted after all others.
    places = np.where(np.isnan(numbers), len(edges) + 1, np.searchsorted(edges, numbers, side="left"))
    filled, places = np.unique(places, return_inverse=True)
    ends = [(numbers[places == place].min(), numbers[places == place].max()) for place in range(len(filled))]
    labels = [
        "" if math.isnan(low) else _text(low) if low == high else f"{_text(low)} to {_text(high)}" for low, high in ends
    ]
    return places.astype(np.int64), labels


def _text(value: Any) -> str:
    import pandas as pd

    if pd.api.types.is_scalar(value) and pd.isna(value):
        return ""
    value = value.tolist() if hasattr(value, "tolist") else value
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _rounded(values: Any) -> Any:
    """Return values, 0 where only rounding is left; never -0."""
    import numpy as np

    return np.where(np.abs(values) <= EQUAL_WITHIN, 0.0, values)


def _count(pairs: int) -> str:
    return "1 pair" if pairs == 1 else f"{pairs:,} pairs"
