"""Writes the figures of a report as PDF and PNG, and returns them as SVG for an HTML page.

The files of the same study are the same, byte by byte: they contain no date, and the ids of an SVG
follow from the name of its figure. Ids are unique in a page of several figures.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from io import BytesIO
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from pdray.atomic import replacing
from pdray.report.case import Reported
from pdray.report.figures import FIGURES
from pdray.report.figures.print_style import print_style

_ID = re.compile(r' id="([^"]*)"')
_REFERENCE = re.compile(r'(?<=url\(#)[^)]+|(?<=href="#)[^"]+')
_PLACE = re.compile(r' (?:d|x|y)="[^"]*"')
_LONG = re.compile(r"(\.\d\d)\d+")  # a hundredth of a point is enough
_FILES: Mapping[str, dict[str, Any]] = {
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
    "png": {"Software": None},
}
"""Kinds of files, and the metadata that they leave out."""
_SVG_STYLE = "max-width:100%;height:auto;stroke-linejoin:round;stroke-linecap:butt"


@dataclass(frozen=True)
class Drawn:
    """A figure of a report.

    Attributes:
        title: Its title.
        svg: It as an SVG element for an HTML page; empty if it is absent.
        caption: Its caption; empty if it is absent.
        absent: Why it is absent; empty if it is there.
    """

    title: str
    svg: str = ""
    caption: str = ""
    absent: str = ""


def save_all(case: Reported, folder: Path) -> dict[str, Drawn]:
    """Draw every figure once and write ``NAME.pdf`` and ``NAME.png`` (300 dpi).

    Args:
        case: The study.
        folder: Folder of the files. Files of a figure that is absent now are removed.

    Returns:
        Every figure by its name, in the order of :data:`~pdray.report.figures.FIGURES`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    found = {}
    for name, one in FIGURES.items():
        with print_style(name):
            figure = one.draw(case)
            if isinstance(figure, str):
                for kind in _FILES:
                    (folder / f"{name}.{kind}").unlink(missing_ok=True)
                found[name] = Drawn(one.title, absent=figure)
                continue
            for kind, metadata in _FILES.items():
                with replacing(folder / f"{name}.{kind}") as temporary:
                    figure.savefig(temporary, format=kind, metadata=metadata)
            svg = svg_element(figure, name, one.title)
        found[name] = Drawn(one.title, svg=svg, caption=one.caption(case))
    return found


def svg_element(figure: Figure, name: str, title: str) -> str:
    """Return a figure as an SVG element whose ids start with its name.

    Args:
        figure: The figure, drawn in its print style.
        name: Start of every id.
        title: What a screen reader says.
    """
    buffer = BytesIO()
    figure.savefig(
        buffer, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type"))
    )
    text = buffer.getvalue().decode()
    text = text[text.index("<svg ") :]
    text = re.sub(r"\s*<(metadata|style)\b.*?</\1>", "", text, flags=re.DOTALL)
    text = _PLACE.sub(lambda one: _LONG.sub(r"\1", one.group()), text)
    used = {one: f"{name}-{k}" for k, one in enumerate(dict.fromkeys(_REFERENCE.findall(text)))}
    text = _REFERENCE.sub(lambda one: used[one.group()], text)
    text = _ID.sub(lambda one: f' id="{used[one[1]]}"' if one[1] in used else "", text)
    # The style sheet that is left out would count for the whole page.
    start = f'<svg role="img" aria-label="{escape(title)}" style="{_SVG_STYLE}" '
    return text.replace("<svg ", start, 1)
