"""Tokens as text that a reader can tell apart: line breaks and tabs are marked, pieces of one character joined."""

from __future__ import annotations

from transformers import PreTrainedTokenizerBase

from tunelab.training.masks import special_ids

#: What stands before a character that would not be seen.
_MARKS = str.maketrans({"\n": "↵\n", "\t": "→\t", "\r": "␍"})
_BROKEN = "\N{REPLACEMENT CHARACTER}"
#: A character of UTF-8 has so many bytes at most, each of which may be a token.
_LONGEST = 4
#: So many tokens before show how the next is decoded: some tokenizers leave out a space at the beginning.
_BEFORE = 4


def shown(tokenizer: PreTrainedTokenizerBase, ids: list[int], trained: list[int]) -> list[list[str | int]]:
    """Return tokens as ``[text, trained, special]``.

    Parameters
    ----------
    tokenizer
        The model's.
    ids, trained
        Tokens and, for each, 1 where it is trained on, else 0.

    Returns
    -------
    list
        Tokens that only together make a character are one entry, unless only one of them is trained on.
    """
    special = special_ids(tokenizer)
    found: list[list[str | int]] = []
    place = 0
    while place < len(ids):
        count = 1
        if ids[place] not in special:
            while (
                (text := _text(tokenizer, ids, place, count)).endswith(_BROKEN)
                and count < _LONGEST
                and place + count < len(ids)
                and ids[place + count] not in special
                and trained[place + count] == trained[place]
            ):
                count += 1
            if text.endswith(_BROKEN):
                # It is no character after all.
                count, text = 1, _text(tokenizer, ids, place, 1)
        else:
            text = str(tokenizer.convert_ids_to_tokens(ids[place]))
        found.append([text.translate(_MARKS), trained[place], int(ids[place] in special)])
        place += count
    return found


def _text(tokenizer: PreTrainedTokenizerBase, ids: list[int], place: int, count: int) -> str:
    before = ids[max(0, place - _BEFORE) : place]
    known, longer = _decoded(tokenizer, before), _decoded(tokenizer, before + ids[place : place + count])
    if longer.startswith(known):
        return longer[len(known) :]
    return _decoded(tokenizer, ids[place : place + count])


def _decoded(tokenizer: PreTrainedTokenizerBase, ids: list[int]) -> str:
    return str(tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False))
