"""Turns phrases into tokens: CLIP's byte-level pairs, or a closed vocabulary of whole words.

Source: Sennrich et al. 2016 (arXiv:1508.07909), algorithm 1, on bytes, as OpenAI's CLIP applies it.
A vocabulary is read from ``vocab.json`` and ``merges.txt`` (transformers), or from
``bpe_simple_vocab_16e6.txt.gz`` (OpenAI, open_clip). Without a file each different word of the
phrases is a token, which serves a text network with random weights.
Differs: text with damaged characters is not repaired (open_clip does it with ftfy); curly quotes
become straight ones, entities of HTML characters, and accents one character with their letter, as
there. The names of start and end have no meaning within a phrase.
"""

import gzip
import html
import json
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path

from pdray.errors import SettingsError

START, END = "<|startoftext|>", "<|endoftext|>"  # in front of each phrase and behind it
PACKED = "bpe_simple_vocab_16e6.txt.gz"
PAIR = ("vocab.json", "merges.txt")
_MERGES = 49152 - 256 - 2  # of the packed file, which holds more
_SUFFIXES = ("'s", "'t", "'re", "'ve", "'m", "'ll", "'d")
_LAST = "</w>"  # ends the last part of a word
_QUOTES = str.maketrans("\u2018\u2019\u201a\u201b\u201c\u201d\u201e\u201f", "''''\"\"\"\"")


class PhraseTokens:
    """Phrases as ids of tokens.

    Attributes:
        words: Id of each token.
        whole_words: Words of a closed vocabulary, in the order of their ids; empty for CLIP's own.
    """

    def __init__(
        self,
        words: Mapping[str, int],
        split: Callable[[str], list[str]],
        whole_words: Sequence[str] = (),
    ) -> None:
        self.words, self.whole_words, self._split = words, tuple(whole_words), split

    def encode(self, phrase: str) -> list[int]:
        """Return the ids of a phrase, without start and end.

        Raises:
            SettingsError: If a word is not in a closed vocabulary; names both.
        """
        parts = [part for word in words_of(phrase) for part in self._split(word)]
        absent = list(dict.fromkeys(part for part in parts if part not in self.words))
        if absent:
            known = ", ".join(sorted(self.words.keys() - {START, END}))
            raise SettingsError(
                f"phrase '{phrase}': no token for '{', '.join(absent)}' in the closed vocabulary "
                f"of the network ({known}); use these words, or weights of CLIP with their "
                f"vocabulary ({' and '.join(PAIR)}, or {PACKED})"
            )
        return [self.words[part] for part in parts]

    def rows(self, phrases: Sequence[str], length: int) -> list[list[int]]:
        """Return a row of ``length`` ids per phrase: start, tokens, end, then zeros.

        A longer phrase is cut, as CLIP does it; its last id is the end.
        """
        found = []
        for phrase in phrases:
            ids = [self.words[START], *self.encode(phrase)][: length - 1]
            found.append([*ids, self.words[END], *[0] * (length - 1 - len(ids))])
        return found


def closed_vocabulary(words: Sequence[str]) -> PhraseTokens:
    """Return tokens that are whole words; ids follow the given order, start and end come last."""
    table = {word: number for number, word in enumerate([*words, START, END])}
    return PhraseTokens(table, lambda word: [word], words)


def read_vocabulary(folder: Path) -> PhraseTokens | None:
    """Return the tokens of the vocabulary in a folder; None if there is none.

    Raises:
        SettingsError: If a file is damaged; names it.
    """
    pair = [folder / name for name in PAIR]
    packed = folder / PACKED
    file = packed
    try:
        if all(path.is_file() for path in pair):
            file = pair[0]
            words = {str(word): int(number) for word, number in json.loads(_text(file)).items()}
            file = pair[1]
            return _pairs(_merges(_text(file)), words)
        if packed.is_file():
            merges = _merges(gzip.decompress(packed.read_bytes()).decode())[:_MERGES]
            letters = list(byte_letters().values())
            ends = [f"{letter}{_LAST}" for letter in letters]
            every = [*letters, *ends, *("".join(merge) for merge in merges), START, END]
            return _pairs(merges, {word: number for number, word in enumerate(every)})
    except (OSError, EOFError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise SettingsError(
            f"{file} is no vocabulary of CLIP ({error or type(error).__name__}); copy it again"
        ) from error
    return None


def words_of(text: str) -> list[str]:
    """Split a text into small words, numbers of one digit and runs of other characters."""
    text = html.unescape(html.unescape(text)).translate(_QUOTES)
    return list(_pieces(" ".join(unicodedata.normalize("NFC", text).split()).lower()))


@cache
def byte_letters() -> dict[int, str]:
    """Return a letter that can be printed for each byte; those of printed bytes are themselves."""
    printed = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printed]
    return {byte: chr(byte) for byte in printed} | {
        byte: chr(256 + number) for number, byte in enumerate(others)
    }


def _pieces(text: str) -> Iterator[str]:
    place = 0
    while place < len(text):
        rest = text[place:]
        piece = next((one for one in _SUFFIXES if rest.startswith(one)), "") or _run(rest)
        place += max(1, len(piece))
        if piece:
            yield piece


def _run(text: str) -> str:
    """Return the characters of one kind that a text begins with; empty at a space."""
    kind = _kind(text[0])
    if kind in " N":
        return text[0].strip()
    length = next((at for at, one in enumerate(text) if _kind(one) != kind), len(text))
    return text[:length]


def _kind(letter: str) -> str:
    """Return " " for a space, "L" for a letter, "N" for a number and "O" for another character."""
    if letter.isspace():
        return " "
    kind = unicodedata.category(letter)[0]
    return kind if kind in "LN" else "O"


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _merges(text: str) -> list[tuple[str, ...]]:
    """Return the pairs of a list of merges, whose first line is a title."""
    merges = [tuple(line.split()) for line in text.split("\n")[1:] if line.strip()]
    if not merges or any(len(merge) != 2 for merge in merges):
        raise ValueError("expected two parts per line")
    return merges


def _pairs(merges: Sequence[tuple[str, ...]], words: Mapping[str, int]) -> PhraseTokens:
    ranks = {merge: number for number, merge in enumerate(merges)}

    @cache
    def split(word: str) -> list[str]:
        letters = [byte_letters()[byte] for byte in word.encode()]
        letters[-1] += _LAST
        return _merged(letters, ranks)

    return PhraseTokens(words, split)


def _merged(parts: list[str], ranks: Mapping[tuple[str, ...], int]) -> list[str]:
    """Join the pair of the lowest rank, everywhere, until no pair has a rank."""
    while len(parts) > 1:
        pair = min(pairwise(parts), key=lambda one: ranks.get(one, len(ranks)))
        if pair not in ranks:
            break
        joined: list[str] = []
        for part in parts:
            if joined and (joined[-1], part) == pair:
                joined[-1] += part
            else:
                joined.append(part)
        parts = joined
    return parts
