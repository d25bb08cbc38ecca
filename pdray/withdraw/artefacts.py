"""Files of studies that show a person or were made of their data, other than tables."""

import re
import shutil
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from pdray.atomic import write_text
from pdray.predict.seen_pictures import SUFFIX, subjects_of
from pdray.tracking.numbering import private_folder
from pdray.tracking.run_log import PAGE, REPORT
from pdray.tracking.withdrawn import LEARNT
from pdray.withdraw.models import Touched
from pdray.withdraw.person import Person
from pdray.withdraw.tables import keyed, table_traces
from pdray.withdraw.trace import Kind, Trace

_SHOWING = ("videos", "attention")  # folders of explain, whose files are named by numbers
_EXPLAINED = "embedding.csv"


def artefact_traces(touched: Touched) -> Iterator[Trace]:
    """Yield the report, the states of trials and the printed scores of a study."""
    folder = touched.log.folder
    yield from _removed("reports", (folder / PAGE).parent, "page, numbers, figures")
    yield from _removed("runs", folder / "ray", "state of trials")
    for path in sorted(folder.glob("**/checkpoint*.pt")):
        yield from _removed("runs", path, "checkpoint")
    for path in sorted(private_folder(touched.log).glob("*.json")):
        yield from _removed("features", path, "numbers that predict has fitted")
    for path in sorted(folder.glob("networks/*/features")):
        yield from _removed("features", path, "features of all recordings")
    for path in (folder / REPORT, folder / "evaluation" / REPORT):
        yield from _marked(path, _headline(touched.learnt))


def shown_traces(output: Path, touched: Sequence[Touched], person: Person) -> Iterator[Trace]:
    """Yield what ``jobs/explain.py`` drew of a person, by the running numbers of the studies."""
    names = {
        number
        for one in touched
        for number in keyed(private_folder(one.log) / "recordings.csv", person)
    }
    for table in sorted(output.glob(f"**/{_EXPLAINED}")) if names else ():
        if not any(table_traces(table, person)):
            continue
        for path in sorted(one for kind in _SHOWING for one in (table.parent / kind).glob("*")):
            if re.split(r"[^A-Za-z0-9]", path.stem)[0] in names:
                yield from _removed("pictures", path, "shows them")


def seen_traces(output: Path, person: Person, notes: list[str]) -> Iterator[Trace]:
    """Yield the files of numbers that networks gave pictures of a person."""
    for path in sorted(output.glob(f"tables/*/*{SUFFIX}")):
        try:
            is_theirs = person.subject in subjects_of(path)
        except (OSError, ValueError) as error:
            notes.append(f"{path} cannot be read, look into it yourself: {error}")
            continue
        if is_theirs:
            yield from _removed("features", path, "numbers of pictures, of theirs and others")


def evaluation_traces(table: Path, touched: Sequence[Touched]) -> Iterator[Trace]:
    """Yield the report and the scores beside the table of a validation that scored a person."""
    if table.parent.parent.name == "evaluation":
        yield from _removed("reports", (table.parent / PAGE).parent, "page, numbers, figures")
        if not any(_has_learnt(table.with_name(REPORT), one) for one in touched):
            yield from _marked(table.with_name(REPORT), _headline(()))


def evaluated_traces(output: Path, touched: Sequence[Touched]) -> Iterator[Trace]:
    """Yield the scores of ``jobs/evaluate.py`` of models that learnt from a person."""
    for one in touched:
        for path in sorted(output.glob(f"evaluation/*/{REPORT}")):
            if _has_learnt(path, one):
                yield from _marked(path, _headline(one.learnt))


def _has_learnt(report: Path, touched: Touched) -> bool:
    """Return whether the scores of an evaluation are of a model that learnt from the person."""
    if not touched.learnt or not report.is_file():
        return False
    text = " ".join(report.read_text(encoding="utf-8").split())  # lines are folded
    one = r"(?:external validation of the model (\S+))?"
    named = re.search(rf"study {re.escape(touched.log.name)}, {one}", text)
    return named is not None and named[1] in (None, *touched.learnt)


def _removed(kind: Kind, path: Path, told: str) -> Iterator[Trace]:
    """Yield a file or a folder that is deleted whole, if it is there."""
    if path.is_dir():
        yield Trace(kind, path, told, partial(shutil.rmtree, path))
    elif path.is_file():
        yield Trace(kind, path, told, path.unlink)


def _marked(path: Path, headline: str) -> Iterator[Trace]:
    """Yield a report whose first line is to be said, unless it is; those of others may follow."""
    if path.is_file() and headline not in path.read_text(encoding="utf-8"):
        yield Trace("scores", path, "are marked, and stay", partial(_mark, path, headline))


def _headline(learnt: Sequence[str]) -> str:
    if learnt:
        return f"{LEARNT.upper()}: {', '.join(learnt)}. The scores are those of then."
    return "SCORED A WITHDRAWN SUBJECT, whom no model learnt from. The scores are those of then."


def _mark(path: Path, headline: str) -> None:
    write_text(path, f"{headline}\n\n{path.read_text(encoding='utf-8')}")
