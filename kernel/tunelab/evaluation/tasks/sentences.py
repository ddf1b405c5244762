"""NLTK's model of English sentences, by which IFEval counts them: it comes in no package, and from the network once."""

from __future__ import annotations

import os
from typing import Any

from tunelab import workspace
from tunelab.errors import Error

#: Datasets whose rows name such instructions.
DATASETS = frozenset({"google/IFEval", "wis-k/instruction-following-eval"})

_COUNTED = frozenset({"length_constraints:number_sentences", "change_case:capital_word_frequency"})


def have(is_needed: bool) -> bool:
    """Return whether the model is there, after a try to bring it into the workspace where there may be a network.

    Raises
    ------
    Error
        If it `is_needed` and cannot be had.
    """
    import nltk

    kept = workspace.current().root / "cache" / "nltk"
    kept.mkdir(parents=True, exist_ok=True)
    if str(kept) not in nltk.data.path:
        nltk.data.path.insert(0, str(kept))
    if _is_there():
        return True
    is_offline = os.environ.get("HF_HUB_OFFLINE", "").lower() in ("1", "true", "yes", "on")
    if not is_offline and nltk.download("punkt_tab", download_dir=str(kept), quiet=True) and _is_there():
        return True
    if is_needed:
        raise Error(
            "IFEval counts sentences by NLTK's punkt_tab, which cannot be had without a network. Where there is one: "
            f"python -m nltk.downloader -d {kept} punkt_tab"
        )
    # lm-eval's IFEval would try again, and put it into the user's home.
    nltk.download = lambda *_, **__: False
    return False


def counts(row: dict[str, Any]) -> bool:
    """Tell whether a row of IFEval cannot be scored without the model."""
    return bool(_COUNTED & set(row.get("instruction_id_list") or ()))


def _is_there() -> bool:
    import nltk

    try:
        nltk.data.find("tokenizers/punkt_tab/english")
    except LookupError:
        return False
    return True
