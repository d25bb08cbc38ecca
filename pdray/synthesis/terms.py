"""Terms of methods, which whoever uses one accepts once for each family of methods.

``damp`` scales numbers and has none. Methods that make pictures of faces are the family ``faces``.
Nothing of theirs is somebody else's code or weights; a family with terms of its authors would get
a name and words of its own.
"""

from collections.abc import Collection, Mapping
from typing import Literal

Family = Literal["faces"]

PAGE = "docs/explanation/made-recordings.md"
WORDS: Mapping[Family, str] = {
    "faces": "makes pictures of faces. They are figures of research: they predict nobody's course "
    "and are no evidence; they are not shown as the person, nor to the person or relatives as "
    "their future; films keep their strip; nobody without consent takes part",
}


def terms_fault(method: str, family: Family | None, accepted: Collection[Family]) -> str | None:
    """Return what is to be accepted before a method is used; None if nothing is.

    Args:
        method: Its name.
        family: Its family; None: it has no terms.
        accepted: Families whose terms are accepted.
    """
    if family is None or family in accepted:
        return None
    return (
        f"synthesis.accept_terms: method '{method}' {WORDS[family]} ({PAGE}). To accept: "
        f"synthesis.accept_terms=[{family}]"
    )


def terms_line(family: Family | None) -> str | None:
    """Return the line that says which terms were accepted; None if there are none."""
    return None if family is None else f"terms      {family} accepted: {PAGE}"
