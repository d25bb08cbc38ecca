"""Answers of the owner: ``card.yaml`` in the folder of a study."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import yaml

from pdray import plain_yaml
from pdray.atomic import write_text
from pdray.config import nearest
from pdray.errors import StudyError, refuse
from pdray.report.card.items import ITEMS, SOURCE

FILE = "card.yaml"
_HEAD = f"""\
# Questions that the log of this study cannot answer ({SOURCE}).
# Write each answer between its quotes, or after a | on indented lines below. An empty answer stays
# open in the model card. pdray reads this file and never changes it; the job that made the report
# makes the card again. Answers leave the room with the card: name nobody.
"""


class Answer(NamedTuple):
    """Answer to one item.

    Attributes:
        text: As the owner wrote it; empty: none yet.
        line: Line of its key in the file, from 1.
    """

    text: str
    line: int


def write_questions(folder: Path, numbers: list[str]) -> None:
    """Write the questions that are open, if the file is not there yet.

    Args:
        folder: The study's folder.
        numbers: Items to ask.
    """
    path = folder / FILE
    if path.exists():
        return
    lines = [_HEAD]
    for number in numbers:
        lines.append(f'# {ITEMS[number].topic}: {ITEMS[number].text}\n{number}: ""\n')
    write_text(path, "\n".join(lines))


def read_answers(folder: Path) -> dict[str, Answer]:
    """Return the answers by item; none if the file is not there.

    Raises:
        StudyError: With file and line of every key that is no item or stands twice, and of every
            answer that is no text.
    """
    path = folder / FILE
    try:
        with path.open(encoding="utf-8") as file:
            node = plain_yaml.compose(file)
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise StudyError(f"{FILE}: cannot be read: {error}; save it as UTF-8 text") from error
    except yaml.YAMLError as error:
        raise StudyError(f"{FILE}: is no YAML: {' '.join(str(error).split())}") from error
    if node is None:
        return {}
    if not isinstance(node, yaml.MappingNode):
        raise StudyError(f'{FILE} line 1: write lines such as 3a: "your answer"')
    found: dict[str, Answer] = {}
    faults = []
    for key, value in node.value:
        fault = _fault(key, value, found)
        if fault:
            faults.append(f"line {key.start_mark.line + 1}: {fault}")
            continue
        is_empty = value.tag == "tag:yaml.org,2002:null"
        text = "" if is_empty else str(value.value).strip()
        found[str(key.value)] = Answer(text, key.start_mark.line + 1)
    refuse(faults, StudyError, FILE)
    return found


def _fault(key: yaml.Node, value: yaml.Node, found: Mapping[str, Answer]) -> str:
    name = str(key.value) if isinstance(key, yaml.ScalarNode) else "a list"
    if name not in ITEMS:
        return f"there is no item {name!r}; {nearest(name, list(ITEMS))}items are 1 to 27c"
    if name in found:
        return f"item {name} stands twice, first in line {found[name].line}; keep one"
    if not isinstance(value, yaml.ScalarNode):
        return f"the answer to {name} is no text; write it in quotes"
    return ""
