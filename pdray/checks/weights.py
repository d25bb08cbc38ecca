"""PDR005: pretrained weights that have seen a subject who was scored."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from pdray.atomic import file_digest
from pdray.checks.case import Case
from pdray.checks.finding import Finding, State, counted
from pdray.checks.made import people_with
from pdray.data.cohort.folds import folds_from_json
from pdray.errors import FoldsError, StudyError
from pdray.tracking.made import read_made
from pdray.tracking.run_log import MODEL, StudyLog, study_of_winner

_RANDOM = "every scored network started from random weights, or the model has none"
_MEASURED = (
    "the model has none; intensities are refused of people that the measuring network learnt from"
)


class _Start(NamedTuple):
    """What is known of one weights file.

    Attributes:
        seen: Scored subjects that it was trained on.
        why: Why that is not known; empty if it is.
        made: Those of them whom made recordings carried into it.
    """

    seen: frozenset[str]
    why: str
    made: frozenset[str] = frozenset()


def run(case: Case) -> Finding:
    """Follow the weights files of the scored models back to the studies that made them."""
    held = {case.recordings[i].subject_id for split in case.splits for i in split.held}
    # With outer folds the winner of the last search is not scored.
    scored = [log for log in case.searches if log is not case.study] or [case.study]
    files = dict.fromkeys(file for log in scored for file in _files(log))
    starts = [start for file in files for start in _ancestry(case, file, frozenset(held), set())]
    seen = frozenset().union(*(one.seen for one in starts))
    made = frozenset().union(*(one.made for one in starts))
    unknown = list(dict.fromkeys(one.why for one in starts if one.why))
    state: State = "warning" if seen else "unknown" if unknown else "passed"
    if seen:
        found = f"weights were trained on {len(seen)} of {counted(len(held), 'scored subject')}"
        if made:
            found += f", {len(made)} of whom are carried by made recordings that they learnt from"
    elif not files:
        stored = case.recordings[0].stored or {}
        found = _MEASURED if "intensities" in stored else _RANDOM
    elif unknown:
        found = counted(len(files), "weights file")
    else:
        found = f"{counted(len(files), 'weights file')}, not trained on any scored subject"
    return Finding(
        state=state,
        looked_at="weights files that the scored models start from, the studies that trained them "
        "(their folds, manifests, frames and made recordings), and the files that those started "
        "from",
        found="; ".join([found, *unknown]),
        sure="exact for winners of pdray by subject id, manifest and frames; what is in files of "
        "others cannot be seen",
        advice="pretrain on other people, or with the same folds; for published weights, read on "
        "which data they were trained",
        numbers={
            "files": len(files),
            "seen": len(seen),
            "scored": len(held),
            "made": len(made),
        },
    )


def _files(search: StudyLog) -> Iterator[Path]:
    """Yield the weights files that a study's winner starts from."""
    if not search.winner.exists():
        return
    settings = search.winner.read()["settings"]
    if settings.get("pretrained"):
        yield Path(settings["pretrained"])
    if guide := (settings.get("synthesis") or {}).get("guide"):
        yield Path(guide) / "winner" / MODEL
    listed = (settings.get("embedding") or {}).get("folder")
    if listed and search.weights_path.is_file():
        digests = json.loads(search.weights_path.read_text(encoding="utf-8"))
        yield from (Path(file) for file in digests if Path(listed) in Path(file).parents)


def _ancestry(case: Case, file: Path, held: frozenset[str], met: set[Path]) -> Iterator[_Start]:
    """Yield what is known of a weights file, and of the files that its study started from."""
    study = study_of_winner(file) or _copied_from(case, file)
    if study is None:
        yield _Start(frozenset(), "what a file of another program was trained on is not known")
        return
    if study.folder.absolute() in met:
        return
    met.add(study.folder.absolute())
    yield _seen_by(case, study, held)
    for earlier in _files(study):
        yield from _ancestry(case, earlier, held, met)


def _seen_by(case: Case, study: StudyLog, held: frozenset[str]) -> _Start:
    """Return the scored subjects that a study's winner was trained on."""
    try:
        digest = study.read()["tags"].get("manifest_digest")
        folds = folds_from_json(study.folds_path.read_text(encoding="utf-8"))
        groups = [one for one in read_made(study) if one.people.keys() - {""} <= folds.development]
    except (OSError, ValueError, KeyError, StudyError, FoldsError):
        return _Start(frozenset(), "the study that trained a weights file cannot be read")
    learnt = folds.development & held
    if digest == case.cohort.manifest.digest:
        made = frozenset(name for group in groups for name in group.people) & held
        return _Start(learnt | made, "", made)
    # Another manifest: the same frames are the same recordings, whatever its ids are.
    frames = _frames_of(study)
    same = {
        one.subject_id
        for one in case.recordings
        if one.subject_id in held and frames & {path.stem for path in (one.stored or {}).values()}
    }
    made = people_with(case, {content for group in groups for some in group.people.values()
                              for content in some}) & held  # fmt: skip
    same |= made
    why = ""
    if learnt - same:
        why = (
            f"the ids of {counted(len(learnt - same), 'scored subject')} also stand in another "
            "manifest on which a weights file was trained; whether these are the same people is "
            "not known"
        )
    return _Start(frozenset(same), why, made)


def _frames_of(study: StudyLog) -> set[str]:
    """Return the names of the store entries of a study's recordings."""
    try:
        entries = json.loads((study.folder / "entries.json").read_text(encoding="utf-8"))
        return {name for names in entries.values() for name in names}
    except (OSError, ValueError, AttributeError):
        return set()


def _copied_from(case: Case, file: Path) -> StudyLog | None:
    """Return the study of this output folder whose winner is the same file under another name."""
    if not file.is_file():
        return None
    size, digest = file.stat().st_size, None
    for model in sorted((case.output / "studies").glob(f"*/winner/{MODEL}")):
        if model.stat().st_size == size:
            digest = digest or file_digest(file)
            if file_digest(model) == digest:
                return StudyLog(model.parents[1])
    return None
