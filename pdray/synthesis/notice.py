"""The text SYNTHETIC.txt of a folder of made recordings: what they are, and who may see them."""

from collections.abc import Sequence

from pdray.data.cohort.provenance import PROGRESSION
from pdray.data.media.marked import Mark
from pdray.synthesis.methods import METHODS
from pdray.synthesis.terms import terms_line

NOTICE = "SYNTHETIC.txt"
_TEXT = """SYNTHETIC RECORDINGS - nobody has moved or looked like this.

The files in this folder were made by a program (pdray, method {method}, {date}) from recordings of
people who agreed to it. They are no evidence of anything about these people and no prediction of
the course of an illness. Strength is the strength of the edit: not severity, grade or years. Do not
show them as the person, and do not show them to the person or relatives as their future.

{shown}
"""


def notice(mark: Mark, may_show: Sequence[bool], told: Sequence[str] = ()) -> str:
    """Return the text.

    Args:
        mark: What made the files, and when.
        may_show: Of each file, whether it may be shown outside the study.
        told: Further lines.
    """
    shown = f"{shown_words(may_show)} Column may_show of {PROGRESSION} tells which."
    text = _TEXT.format(method=mark.method, date=mark.date.isoformat(), shown=shown)
    lines = [line for line in (terms_line(METHODS[mark.method].terms), *told) if line is not None]
    return text + "".join(f"\n{one}\n" for one in lines)


def shown_words(may_show: Sequence[bool]) -> str:
    """Return how many made files may be shown outside the study, in a sentence or two."""
    kept = len(may_show) - sum(may_show)
    if not kept:
        return f"All {len(may_show)} files may be shown outside the study: all agreed to 'show'."
    return (
        f"{kept} of {len(may_show)} files are of people who did not agree to 'show': they stay\n"
        "inside the study; no export, no figure, no talk."
    )
