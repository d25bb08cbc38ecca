"""Spellings of ids and words: which of them cannot mean two people, and which look alike.

Normal forms are for comparing alone: what a manifest says is kept and printed as it stands.
"""

import re
import unicodedata

# Drawn as nothing, though Unicode calls them letters, marks or symbols: fillers of Hangul, vowels
# of Khmer and Braille, the grapheme joiner, selectors of Mongolian letters and of variants.
_DRAWN_AS_NOTHING = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2065\u2800\u3164\ufe00-\ufe0f\uffa0"
    "\U000e0000-\U000e0fff]"
)
_MORE_DASHES = "\u02d7\u2043\u2212"  # beside the category Pd: modifier, bullet, minus
# Letters of Cyrillic, Greek and Latin that look like others, chosen after Unicode
# Technical Standard 39, and what is drawn like the digits 0 and 1.
_LOOK_ALIKE = str.maketrans(
    "\u0410\u0412\u0415\u041a\u041c\u041d\u041e\u0420\u0421\u0422\u0423\u0425\u0405\u0406\u0408"
    "\u04ae\u04c0\u050c\u051a\u051c\u0417"
    "\u0430\u0435\u043e\u0440\u0441\u0443\u0445\u0455\u0456\u0458\u04af\u04bb\u04cf\u0501\u051b"
    "\u051d"
    "\u0391\u0392\u0395\u0396\u0397\u0399\u039a\u039c\u039d\u039f\u03a1\u03a4\u03a5\u03a7"
    "\u03b1\u03b3\u03b9\u03ba\u03bd\u03bf\u03c1\u03c3\u03c5\u03c7"
    "\u0131\u0261"
    "OoIl|",
    "ABEKMH0PCTYXS1JY1GQW3ae0pcyxsijyh1dqwABEZH1KMN0PTYXayikv0p0uxig00111",
)


def normal_form(text: str) -> str:
    """Return what is the same for all spellings that cannot mean two things.

    It leaves out case, composition and width of letters (Unicode NFKC and case folding), invisible
    and control characters, kinds of dash and of space, the script of digits, and the ``.0`` that
    tables put behind a whole number. Two forms are equal where nothing else differs.
    """
    if text.isascii():
        return _one_spacing(text.casefold())
    before = None
    while before != text:  # what is left out may bring letters together that compose
        before = text
        text = "".join(map(_plain, unicodedata.normalize("NFKC", text).casefold()))
        text = _one_spacing(unicodedata.normalize("NFKC", _DRAWN_AS_NOTHING.sub("", text)))
    return text


def look_alike_form(text: str) -> str:
    """Return what is the same for spellings that look alike, of one person or of two.

    Beyond :func:`normal_form` it leaves out accents, leading zeros of numbers and what stands
    between a letter and a number (``P-01``, ``P1``), and takes letters for those of another script
    or digits that look like them.
    """
    composed = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", text))
    bare = "".join(one for one in composed if unicodedata.category(one) != "Mn")
    form = normal_form(bare.translate(_LOOK_ALIKE))
    form = re.sub(r"(?<=[^\W\d_])[ ._-]+(?=\d)|(?<=\d)[ ._-]+(?=[^\W\d_])", "", form)
    return re.sub(r"(?<!\d)0+(?=\d)", "", form)


def number_form(text: str) -> str:
    """Return the number of a look-alike form that is letters and one number; else nothing."""
    match = re.fullmatch(r"[^\W\d_]*(\d+)", look_alike_form(text))
    return match[1] if match else ""


def _plain(letter: str) -> str:
    category = unicodedata.category(letter)
    if category == "Pd" or letter in _MORE_DASHES:
        return "-"
    if category == "Nd":
        return str(unicodedata.decimal(letter))
    return "" if category == "Cf" else letter


def _one_spacing(text: str) -> str:
    """Leave one space where there are several of any kind, and no control character."""
    words = (re.sub(r"[\x00-\x1f\x7f-\x9f]", "", word) for word in text.split())
    spaced = " ".join(filter(None, words))
    return re.sub(r"^(\d+)\.0+$", r"\1", spaced)
