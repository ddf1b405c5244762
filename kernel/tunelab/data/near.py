"""Which prompts are nearly the same, by MinHash and locality-sensitive hashing (Broder 1997; Leskovec et al., ch. 3).

Two prompts are near where the sets of their 5-character pieces, without case and runs of spaces, have four fifths in
common (Jaccard). Candidates are found by hashes; each pair of them is then counted. Hashes alone find little among
prompts of one template, which are all candidates of each other; so those that share a rare piece are candidates first.
"""

from __future__ import annotations

import mmap
from array import array
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[Any]

NEAR = 0.8
PIECE = 5
#: Of longer prompts so many characters are compared.
_CHARACTERS = 20_000
_HASHES, _BANDS = 32, 8
#: Candidates of which fewer hashes agree are not counted: 1 in 300 of those that are just near is lost by it.
_AGREE = 19
#: A prompt that was counted so often and was near none is counted no more: rows of one template are candidates of each
#: other in every band, and nearly near.
_TRIES = 8
#: The rarest piece is taken of each of so many parts of a prompt's pieces; pieces are counted in so many places.
_RARE, _COUNTED = 4, 22
_BLOCK_CHARACTERS = 1 << 20
#: So many pieces are hashed, or sorted, at once: they stay in the processor's cache.
_AT_ONCE = 1 << 16

_draw = np.random.default_rng(5)
_MASKS = _draw.integers(0, 1 << 32, _HASHES, dtype=np.uint32)
_FACTORS = _draw.integers(0, 1 << 31, _HASHES, dtype=np.uint32) * np.uint32(2) + np.uint32(1)
_LARGEST = np.uint32(0xFFFFFFFF)


class Prompts:
    """The different prompts as they come: their pieces, hashed, in one file, and the MinHashes of each in another."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open("wb")
        self._starts = array("Q", [0])
        self._known: set[int] = set()
        self._places = array("Q")
        self._rows = 0
        self._block: list[str] = []
        self._size = 0
        self._hashes = path.with_name(path.name + "-hashes").open("wb")

    def add(self, prompt: str, key: int) -> None:
        """Take the prompt of the next row; `key` is the same for the same prompt."""
        if key not in self._known:
            self._known.add(key)
            self._places.append(self._rows)
            text = " ".join(prompt[: 2 * _CHARACTERS].casefold().split())[:_CHARACTERS]
            self._block.append(text)
            self._size += len(text)
            if self._size > _BLOCK_CHARACTERS:
                self._flush()
        self._rows += 1

    def groups(self, first: Numbers) -> Numbers:
        """Return for each row the position of the first row of its group of prompts that are nearly the same.

        Parameters
        ----------
        first
            For each row the position of the first row with the same prompt. Shape (rows,).
        """
        self._flush()
        self._file.close()
        self._hashes.close()
        self._known.clear()
        count = len(self._places)
        roots = _Roots(count)
        # Without a single piece there is nothing to map into memory, and nothing to compare.
        if count > 1 and self._starts[-1]:
            pieces_map, hashes_map = _mapped(self._path), _mapped(Path(self._hashes.name))
            pieces = np.frombuffer(pieces_map, dtype=np.uint32)
            starts = np.frombuffer(self._starts, dtype=np.uint64).astype(np.int64)
            hashes = np.frombuffer(hashes_map, dtype=np.uint32).reshape(count, _HASHES)
            tries = np.zeros(count, dtype=np.int64)
            for rare in _rarest(self._path, starts).T:
                self._join(roots, _candidates(rare, rare), hashes, pieces, starts, tries)
                _forget(pieces_map, hashes_map)
            tries[:] = 0
            for band in range(_BANDS):
                # Of those that agree in this band, those that agree in the next as well stand beside each other.
                agree, further = _mixed(hashes, band), _mixed(hashes, (band + 1) % _BANDS)
                self._join(roots, _candidates(agree, further), hashes, pieces, starts, tries)
                _forget(pieces_map, hashes_map)
        places = np.frombuffer(self._places, dtype=np.uint64).astype(np.int64)
        # From rows to different prompts, to the first of their group, to its row.
        of_row = np.searchsorted(places, first)
        return places[roots.all()][of_row]

    @staticmethod
    def _join(
        roots: _Roots, candidates: list[Numbers], hashes: Numbers, pieces: Numbers, starts: Numbers, tries: Numbers
    ) -> None:
        for pairs in candidates:
            joined = roots.all()
            pairs = pairs[(joined[pairs[:, 0]] != joined[pairs[:, 1]]) & (tries[pairs[:, 1]] < _TRIES)]
            for begin in range(0, len(pairs), 1 << 16):
                some = pairs[begin : begin + (1 << 16)]
                some = some[(hashes[some[:, 0]] == hashes[some[:, 1]]).sum(axis=1) >= _AGREE]
                for block in _blocks(some, starts):
                    are_near = jaccard(block, pieces, starts) >= NEAR
                    tries[block[~are_near, 1]] += 1
                    for one, other in block[are_near].tolist():
                        roots.join(one, other)

    def _flush(self) -> None:
        """Hash the pieces of the waiting prompts; one without any has none, and the largest number as its MinHashes."""
        if not self._block:
            return
        data = np.frombuffer("".join(text + "\0" * (PIECE - 1) for text in self._block).encode("utf-32-le"), np.uint32)
        lengths = np.array([len(text) for text in self._block], dtype=np.int64)
        ends = np.cumsum(lengths)
        self._starts.extend((ends + self._starts[-1]).tolist())
        # A piece for each character of a prompt, and none that begins in the padding after it.
        padded = ends + (PIECE - 1) * np.arange(1, len(lengths) + 1)
        within = np.ones(len(data), dtype=np.bool_)
        for back in range(1, PIECE):
            within[padded - back] = False
        within = within[: len(data) - PIECE + 1]
        pieces = _hashed([data[place : len(data) - PIECE + 1 + place] for place in range(PIECE)])[within]
        pieces.tofile(self._file)
        found = np.full((len(lengths), _HASHES), _LARGEST, dtype=np.uint32)
        for rows in _parts(lengths):
            rows = rows[lengths[rows] > 0]
            if len(rows):
                begin, end = ends[rows[0]] - lengths[rows[0]], ends[rows[-1]]
                found[rows] = _min_hashes(pieces[begin:end], ends[rows] - lengths[rows] - begin)
        found.tofile(self._hashes)
        self._block.clear()
        self._size = 0


def _mapped(path: Path) -> mmap.mmap:
    with path.open("rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def _forget(*maps: mmap.mmap) -> None:
    """Give back the memory of what was read; it is read again from the file where it is needed."""
    for one in maps:
        one.madvise(mmap.MADV_DONTNEED)


def _hashed(columns: list[Numbers]) -> Numbers:
    """Return a hash of 32 bits of each piece; `columns` are the first characters, the second ones, and so on."""
    hashed = np.zeros(len(columns[0]), dtype=np.uint64)
    for column in columns:
        hashed *= np.uint64(0x100000001B3)
        hashed += column
    hashed ^= hashed >> np.uint64(29)
    hashed *= np.uint64(0xBF58476D1CE4E5B9)
    hashed >>= np.uint64(32)
    return hashed.astype(np.uint32)


def _min_hashes(pieces: Numbers, begins: Numbers) -> Numbers:
    """Return the MinHashes, shape (prompts, hashes), of prompts whose pieces begin at these places."""
    found = np.empty((_HASHES, len(begins)), dtype=np.uint32)
    hashed, shifted = np.empty_like(pieces), np.empty_like(pieces)
    for place in range(_HASHES):
        np.bitwise_xor(pieces, _MASKS[place], out=hashed)
        np.multiply(hashed, _FACTORS[place], out=hashed)
        np.right_shift(hashed, np.uint32(15), out=shifted)
        np.bitwise_xor(hashed, shifted, out=hashed)
        np.minimum.reduceat(hashed, begins, out=found[place])
    return found.T


def jaccard(pairs: Numbers, pieces: Numbers, starts: Numbers) -> Numbers:
    """Return what share of their pieces the prompts of each pair have in common. Shapes: (pairs, 2) to (pairs,)."""
    prompts, sides = np.unique(pairs, return_inverse=True)
    sides = sides.reshape(pairs.shape)
    lengths = starts[prompts + 1] - starts[prompts]
    own = np.concatenate([pieces[starts[one] : starts[one + 1]] for one in prompts.tolist()]).astype(np.uint64)
    # The different pieces of each prompt, in order: the prompt's number above the piece's hash.
    marked = (np.repeat(np.arange(len(prompts), dtype=np.uint64), lengths) << np.uint64(32)) | own
    marked.sort()
    marked = marked[np.concatenate([[True], marked[1:] != marked[:-1]])] if len(marked) else marked
    sizes = np.bincount((marked >> np.uint64(32)).astype(np.int64), minlength=len(prompts))
    begins = np.cumsum(sizes) - sizes
    # Each piece of a pair's second prompt is looked for among those of its first.
    seconds = sizes[sides[:, 1]]
    owner = np.repeat(np.arange(len(pairs)), seconds)
    offset = np.arange(len(owner)) - np.repeat(np.cumsum(seconds) - seconds, seconds)
    wanted = marked[begins[sides[owner, 1]] + offset] & np.uint64(0xFFFFFFFF)
    wanted |= sides[owner, 0].astype(np.uint64) << np.uint64(32)
    place = np.minimum(np.searchsorted(marked, wanted), len(marked) - 1)
    both = np.bincount(owner[marked[place] == wanted], minlength=len(pairs))
    shares: Numbers = both / np.maximum(1, sizes[sides[:, 0]] + seconds - both)
    return shares


def _rarest(path: Path, starts: Numbers) -> Numbers:
    """Return the rarest pieces of each prompt that others have as well, shape (prompts, parts).

    Where there is none, it is a number that no other prompt has. The pieces are read in parts from their file: mapped
    into memory, all of them would be in there.
    """
    shift = np.uint32(32 - _COUNTED)
    counts = np.zeros(1 << _COUNTED, dtype=np.uint32)
    for begin in range(0, starts[-1], 1 << _COUNTED):
        places = (_read(path, begin, begin + (1 << _COUNTED)) >> shift).astype(np.int64)
        counts += np.bincount(places, minlength=1 << _COUNTED).astype(np.uint32)
    lengths = starts[1:] - starts[:-1]
    none = np.arange(len(lengths), dtype=np.uint64) | np.uint64(1 << 63)
    found = np.repeat(none[:, np.newaxis], _RARE, axis=1)
    for rows in _parts(lengths):
        rows = rows[lengths[rows] > 0]
        if not len(rows):
            continue
        own = _read(path, starts[rows[0]], starts[rows[-1] + 1])
        often = counts[own >> shift]
        ranked = (often.astype(np.uint64) << np.uint64(32)) | own
        ranked[often < 2] = 1 << 63
        part = own % np.uint32(_RARE)
        for place in range(_RARE):
            least = np.minimum.reduceat(
                np.where(part == place, ranked, np.uint64(1 << 63)), starts[rows] - starts[rows[0]]
            )
            found[rows, place] = np.where(least < 1 << 63, least, none[rows])
    return found


def _read(path: Path, begin: int, end: int) -> Numbers:
    found: Numbers = np.fromfile(path, dtype=np.uint32, count=end - begin, offset=begin * np.uint32().itemsize)
    return found


def _candidates(agree: Numbers, further: Numbers) -> list[Numbers]:
    """Return pairs, shape (pairs, 2), of prompts with the same number: each with the first, and with the one before.

    `further` is a second number for each prompt, by which those of the same number are in order.
    """
    order = np.lexsort((further, agree))
    mixed = agree[order]
    is_first = np.concatenate([[True], mixed[1:] != mixed[:-1]])
    firsts = np.maximum.accumulate(np.where(is_first, np.arange(len(order)), 0))
    same = np.flatnonzero(~is_first)
    # The second of a run has the first before it, and is not taken twice.
    later = same[firsts[same] < same - 1]
    return [
        np.stack([order[firsts[same]], order[same]], axis=1),
        np.stack([order[later - 1], order[later]], axis=1),
    ]


def _mixed(hashes: Numbers, band: int) -> Numbers:
    """Return one number for the hashes of a band."""
    each = _HASHES // _BANDS
    mixed = np.zeros(len(hashes), dtype=np.uint64)
    for place in range(band * each, band * each + each):
        mixed = (mixed ^ hashes[:, place]) * np.uint64(0x9E3779B97F4A7C15)
        mixed ^= mixed >> np.uint64(32)
    return mixed


def _blocks(pairs: Numbers, starts: Numbers) -> list[Numbers]:
    """Return the pairs in parts that have no more than so many pieces together."""
    lengths = starts[1:] - starts[:-1]
    return [pairs[part] for part in _parts(lengths[pairs[:, 0]] + lengths[pairs[:, 1]])]


def _parts(lengths: Numbers) -> list[Numbers]:
    """Return the places of these lengths in parts, each of about so many pieces, and of one length at least."""
    places = np.arange(len(lengths))
    return np.split(places, np.flatnonzero(np.diff(np.cumsum(lengths) // _AT_ONCE)) + 1) if len(places) else []


class _Roots:
    """Which things are joined, by the first of each group."""

    def __init__(self, count: int) -> None:
        self._parents = array("q", range(count))
        self._all: Numbers | None = None

    def find(self, one: int) -> int:
        parents = self._parents
        while parents[one] != one:
            parents[one] = parents[parents[one]]
            one = parents[one]
        return one

    def join(self, one: int, other: int) -> None:
        first, second = sorted((self.find(one), self.find(other)))
        self._parents[second] = first
        self._all = None

    def all(self) -> Numbers:
        """Return the first of each one's group."""
        if self._all is None:
            found = np.array(self._parents, dtype=np.int64)
            while not np.array_equal(further := found[found], found):
                found = further
            self._all = found
        return self._all
