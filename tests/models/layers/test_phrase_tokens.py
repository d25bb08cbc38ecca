"""CLIP's tokens, beside open_clip's tokenizer where it is installed.

That one repairs texts whose bytes were read in another code; such texts are not compared.
"""

import gzip
import json
import random
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

from pdray.errors import SettingsError
from pdray.models.layers.phrase_tokens import (
    END,
    PACKED,
    START,
    byte_letters,
    closed_vocabulary,
    read_vocabulary,
    words_of,
)

# Pairs in the order in which they are joined: "smile" becomes two tokens, "le" only at its end.
MERGES = ["s m", "sm i", "l e</w>", "smi le</w>", "a n", "an g", "e r", "ang er"]


def packed(folder: Path, text: str | None = None) -> Path:
    """Write a vocabulary of few pairs as OpenAI packs its own."""
    lines = "\n".join(["a title", *MERGES]) if text is None else text
    (folder / PACKED).write_bytes(gzip.compress(lines.encode()))
    return folder


def pair(folder: Path) -> Path:
    """Write the same vocabulary as transformers does."""
    letters = [*byte_letters().values()]
    words = [*letters, *(f"{one}</w>" for one in letters), *(m.replace(" ", "") for m in MERGES)]
    table = {word: number for number, word in enumerate([*words, START, END])}
    (folder / "vocab.json").write_text(json.dumps(table))
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *MERGES, ""]))
    return folder


def test_pairs_are_joined_in_their_order_and_rows_are_cut_at_the_context(tmp_path: Path) -> None:
    tokens = read_vocabulary(packed(tmp_path))
    assert tokens is not None
    names = {number: word for word, number in tokens.words.items()}
    assert [names[one] for one in tokens.encode("Smile,  anger")] == [
        "smile</w>", ",</w>", "ang", "e", "r</w>",
    ]  # fmt: skip
    assert tokens.rows(["smile", "anger"], 4) == [
        [tokens.words[START], tokens.words["smile</w>"], tokens.words[END], 0],
        [tokens.words[START], tokens.words["ang"], tokens.words["e"], tokens.words[END]],
    ]


def test_both_files_hold_the_same_vocabulary(tmp_path: Path) -> None:
    folders = [tmp_path / "one", tmp_path / "other"]
    for folder in folders:
        folder.mkdir()
    one, other = read_vocabulary(packed(folders[0])), read_vocabulary(pair(folders[1]))
    assert one is not None
    assert other is not None
    assert one.words == other.words
    assert one.encode("smile angrily \u00e9") == other.encode("smile angrily \u00e9")
    assert read_vocabulary(tmp_path) is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("It's  a FACE", ["it", "'s", "a", "face"]),
        ("we\u2019re 12", ["we", "'re", "1", "2"]),
        ("brows -- drawn!?", ["brows", "--", "drawn", "!?"]),
        ("cafe\u0301 &amp; \u00e9t\u00e9", ["caf\u00e9", "&", "\u00e9t\u00e9"]),
        ("\U0001f600\u00bd x_y", ["\U0001f600", "\u00bd", "x", "_", "y"]),
        ("  ", []),
    ],
)
def test_words_are_those_of_the_pattern_of_clip(text: str, words: list[str]) -> None:
    assert words_of(text) == words


@pytest.mark.parametrize("text", ["title\nonly one part per\n", "title", "title\na b c\n"])
def test_a_damaged_vocabulary_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(SettingsError, match=f"{PACKED} is no vocabulary of CLIP .*copy it again"):
        read_vocabulary(packed(tmp_path, text))


def test_a_vocabulary_cut_off_is_refused(tmp_path: Path) -> None:
    file = packed(tmp_path) / PACKED
    file.write_bytes(file.read_bytes()[:30])
    with pytest.raises(SettingsError, match=f"{PACKED} is no vocabulary of CLIP"):
        read_vocabulary(tmp_path)
    (pair(tmp_path) / "vocab.json").write_text('{"a": 0')
    with pytest.raises(SettingsError, match=r"vocab\.json is no vocabulary of CLIP"):
        read_vocabulary(tmp_path)


def test_a_closed_vocabulary_names_the_word_that_it_lacks() -> None:
    tokens = closed_vocabulary(["a", "smiling", "face"])
    assert tokens.encode("a face") == [0, 2]
    wrong = r"phrase 'a sad face': no token for 'sad' in the closed .*\(a, face, smiling\)"
    with pytest.raises(SettingsError, match=wrong):
        tokens.encode("a sad face")


def test_ids_are_those_of_open_clip_for_a_thousand_texts() -> None:
    pytest.importorskip("ftfy", reason="needs open_clip_torch of '.[dev]'")
    folder = Path(find_spec("open_clip").origin).parent
    # The file alone: its package would import transformers and torchvision, which takes seconds.
    spec = spec_from_file_location("open_clip_tokenizer", folder / "tokenizer.py")
    theirs = module_from_spec(spec)
    spec.loader.exec_module(theirs)
    tokens = read_vocabulary(folder)
    assert tokens is not None
    draw = random.Random(0)
    letters = (
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJ0123456789 .,;:!?'\"-_()#@&%+=/*~^$"
        "\u00e9\u00e8\u00fc\u00f1\u0161\u03b1\u03a9\u0416\u044f\u4e2d\u6587\u3042\ud55c"
        "\u2019\u201c\u2026\u20ac\U0001f600\U0001f44d\U0001f3fd\u2764"
    )
    words = [
        "a",
        "smiling",
        "face",
        "with",
        "raised",
        "cheeks",
        "and",
        "brows",
        "drawn",
        "together",
        "isn't",
        "we've",
        "2nd",
    ]
    texts = [
        " ".join(
            draw.choice(words)
            if draw.random() < 0.6
            else "".join(draw.choices(letters, k=draw.randint(1, 8)))
            for _ in range(draw.randint(1, 30))
        )
        for _ in range(1000)
    ]
    expected = theirs.SimpleTokenizer()(texts, context_length=40).tolist()
    differ = [
        text for text, ids in zip(texts, expected, strict=True) if tokens.rows([text], 40) != [ids]
    ]
    assert differ == []
    assert sum(ids[-1] == tokens.words[END] for ids in expected) > 100, "some are cut"
