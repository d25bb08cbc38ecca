"""The model card of a study: every item of TRIPOD+AI, filled, answered, open or not applicable."""

import html
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from pdray.data.cohort.settings import SYNTHETIC_MARK
from pdray.report.card.answers import FILE, Answer, read_answers, write_questions
from pdray.report.card.filled import ENOUGH, FROM_LOG, NOT_APPLICABLE, OF_OWNER, Log
from pdray.report.card.items import ITEMS, SECTIONS, SOURCE
from pdray.report.case import Reported

State = Literal["filled", "answered", "open", "not applicable"]
_WORDS: dict[State, str] = {
    "filled": "filled from the log",
    "answered": "answered by the owner",
    "open": "open",
    "not applicable": "not applicable",
}


@dataclass(frozen=True)
class Item:
    """One item of the card.

    Attributes:
        number: As in the checklist, such as "12a".
        topic: Its subject, in a few words.
        question: What a reader wants to know.
        state: "filled": the log says all of it. "answered": its owner does. "open": nobody has
            said all of it. "not applicable": the log says that there is nothing to tell.
        log: What the log says of it, in lines; empty: nothing.
        answer: What the owner says; empty: nothing.
        line: Its line in ``card.yaml``; 0: it has none.
    """

    number: str
    topic: str
    question: str
    state: State
    log: str
    answer: str = ""
    line: int = 0

    @property
    def text(self) -> str:
        """What the log and the owner say."""
        return "\n".join(filter(None, (self.log, self.answer)))


def card(case: Reported, answers: Mapping[str, Answer]) -> tuple[Item, ...]:
    """Return every item of the checklist, in its order."""
    log = Log(case)
    items = (Item(number, *one, "open", _told(number, log)) for number, one in ITEMS.items())
    asked = frozenset() if case.external is None else OF_OWNER
    return tuple(_with(item, answers.get(item.number), asked) for item in items)


def make_card(case: Reported, folder: Path) -> tuple[Item, ...]:
    """Return the card of a study, after writing the questions into its folder, if they are not.

    Args:
        case: The study.
        folder: Its folder, which has or gets ``card.yaml``.

    Raises:
        StudyError: If ``card.yaml`` has a key that is no item, or an answer that is no text.
    """
    items = card(case, read_answers(folder))
    write_questions(folder, [one.number for one in items if one.state == "open"])
    return card(case, read_answers(folder))


def summary(items: tuple[Item, ...]) -> str:
    """Return how many items are in which state."""
    counts = Counter(one.state for one in items)
    told = ", ".join(f"{counts[state]} {words}" for state, words in _WORDS.items())
    return f"{len(items)} items: {told}."


def card_markdown(case: Reported, items: tuple[Item, ...]) -> str:
    """Return the card as Markdown, in which no text of the manifest or the owner is markup."""
    external = ", external validation" * (case.external is not None)
    lines = [f"# Model card of study {_plain(case.name)}{external}", ""]
    lines += [f"**{SYNTHETIC_MARK}.**", ""] * case.is_synthetic
    lines += [f"Checklist: {SOURCE}; numbers are the checklist's, words are pdray's.", ""]
    where, job = ("the study's folder", "report")
    if case.external is not None:
        where, job = ("the folder above", "evaluate")
    way = f"Answer open items in `{FILE}` of {where}, then run `jobs/{job}.py` again."
    lines += [summary(items), "", way, ""]
    lines += ["pdray is for research. It is not a medical device.", ""]
    for one in items:
        if one.number in SECTIONS:
            lines += [f"## {SECTIONS[one.number]}", ""]
        lines += [f"### {one.number} {one.topic}: {_WORDS[one.state]}", "", one.question, ""]
        lines += _quoted("log", one.log) + _quoted("owner", one.answer)
        if one.state == "open":
            where = f"line {one.line} of {FILE}" if one.line else FILE
            lines += [f"**open**: answer it in {where}", ""]
    return "\n".join(lines).rstrip() + "\n"


def _told(number: str, log: Log) -> str:
    return FROM_LOG[number](log) if number in FROM_LOG else ""


def _with(item: Item, answer: Answer | None, asked: Collection[str]) -> Item:
    """Return an item with its owner's answer and its state."""
    text, line = answer or Answer("", 0)
    state: State = "answered" if text else "open"
    if item.log and item.number in ENOUGH and item.number not in asked:
        state = "filled"
    if item.log and item.number in NOT_APPLICABLE:
        state = "not applicable"
    return replace(item, state=state, answer=text, line=line)


def _quoted(who: str, text: str) -> list[str]:
    lines = [_plain(line) for line in text.splitlines()]
    return [*(f"> {who}: {line}  " for line in lines), ""] if lines else []


def _plain(text: str) -> str:
    """Return a line without markup and without letters that are not printed."""
    printed = "".join(one if one.isprintable() else " " for one in text)
    marked = html.escape(printed, quote=False)
    return "".join(f"\\{one}" if one in "\\`*_[]|#!" else one for one in marked)
