"""Terms of published data about people: what may be said of them, and done with them."""

import re

_ROCHESTER = (
    "published beside the authors' code under the MIT licence, without a data-use statement of the "
    "people seen: for tests of methods only, not to be passed on, alone or with models; ids of web "
    "recordings are sessions, so one person may have two"
)
_TERMS = {
    "tapping": f"if this is the finger tapping of Rochester: {_ROCHESTER}",
    "ufnet": f"if these are the smiles and speech of UFNet: {_ROCHESTER}",
    "youtubepd": "if these are the clips of YouTubePD: CC0 by the paper's word alone; health "
    "judgements about real public figures, on the authors' own scale of 0 to 5, not MDS-UPDRS; "
    "clips, not people; show no frame, voice or drawing of landmarks",
    "telemonitoring": "if these are the vowels of UCI: CC BY 4.0 (Tsanas and Little 2009), a copy "
    "that was not compared with the original",
}
_TERMS["rochci"] = _TERMS["tapping"]
_NOBODY = "do not try to find out who any of these people are"


def terms(name: str) -> tuple[str, ...]:
    """Return the terms of the data that a layout or a table is of, one sentence each.

    Args:
        name: Such as ``ufnet_smile``, a layout of an importer, or ``ufnet.smile``, a table.
    """
    found = _TERMS.get(re.split(r"[._]", name)[0])
    return () if found is None else (found, _NOBODY)
