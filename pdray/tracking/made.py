"""Made recordings of a study, and the people whom they carry: ``<study>/made.json``.

A model that learnt from a made recording learnt from everybody in it. The list is kept beside the
study, since the manifest and the provenance files may change or go away later.
"""

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from pdray.errors import StudyError
from pdray.tracking.run_log import StudyLog

if TYPE_CHECKING:
    from pdray.data.cohort.made_sets import Made

MADE = "made.json"


class MadeGroup(NamedTuple):
    """Made recordings of one method and one source subject.

    Attributes:
        method: What made them, such as "cut".
        study: Name of the study whose generator it was; empty for a method that learns nothing.
        recordings: Their ids.
        people: SHA-256 of the files that went into them, by subject; the key is empty for files
            that no row of the manifest names.
    """

    method: str
    study: str
    recordings: tuple[str, ...]
    people: Mapping[str, tuple[str, ...]]


def keep_made(study: StudyLog, made: Sequence["Made"]) -> None:
    """Write the list of a study's made recordings."""
    groups: dict[tuple[int, str], list[Made]] = {}
    for one in made:
        key = (id(one.provenance), one.recording.subject_id)
        groups.setdefault(key, []).append(one)
    plain = [
        {
            "method": some[0].provenance.method,
            "study": some[0].provenance.study,
            "recordings": [one.recording.recording_id for one in some],
            "people": {
                name: sorted(some[0].contents.get(name, ()))
                for name in sorted(some[0].people | some[0].contents.keys())
            },
        }
        for some in groups.values()
    ]
    study.write(MADE, json.dumps(plain, indent=1))


def read_made(study: StudyLog) -> tuple[MadeGroup, ...]:
    """Return the made recordings of a study, or of the study that a search is part of.

    Returns:
        Nothing if the study has no such list: it learnt from none.

    Raises:
        StudyError: If the list is damaged.
    """
    path = (study.whole() or study).folder / MADE
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
        return tuple(
            MadeGroup(
                one["method"],
                one["study"],
                tuple(one["recordings"]),
                {name: tuple(contents) for name, contents in one["people"].items()},
            )
            for one in plain
        )
    except FileNotFoundError:
        return ()
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise StudyError(f"{path}: cannot be read: {error}; restore it") from error
