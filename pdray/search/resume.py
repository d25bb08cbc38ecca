"""Checks whether a study may be continued: no other job, same settings, same files."""

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from pdray.atomic import LEASE_SECONDS, file_digest, held, sweep
from pdray.command import Say
from pdray.config import leaves, plain_default, require_writable
from pdray.data.cohort.manifest import Manifest, open_manifest
from pdray.data.cohort.rated import StoredRecording
from pdray.earlier import earlier_values
from pdray.errors import ManifestError, StudyError
from pdray.plugins import require
from pdray.search.plan import StudyPlan
from pdray.search.settings import StudyConfig
from pdray.tracking.run_log import StudyLog, read_json

_WRITING_SECONDS = 60.0  # a temporary file that has not changed for so long has no writer


@contextmanager
def only_driver(study: StudyLog, say: Say) -> Iterator[None]:
    """Lock a study's folder, so that a second job cannot run the same trials.

    If no study was started in it, the folder is removed at the end.

    Args:
        study: The study's log.
        say: Prints a line, where the disk has no file locks.

    Raises:
        SettingsError: If the folder cannot be made or written.
        StudyError: If another job has locked it.
    """
    require_writable(study.folder, key="output")
    study.folder.mkdir(parents=True, exist_ok=True)
    path = study.folder / "driver.lock"
    with ExitStack() as stack:
        try:
            has_locks = stack.enter_context(held(path))
        except BlockingIOError as error:
            raise StudyError(
                f"study {study.folder.name} is already run by another job (on a disk without file "
                f"locks: or one was killed less than {LEASE_SECONDS:g} s ago); wait for its end, "
                "or give this study another search.name"
            ) from error
        if not has_locks:
            say(f"note: the disk of {study.folder} has no file locks; a lease file is used instead")
        # Of a complete study, another job may make a report now.
        sweep(study.folder, seconds=_WRITING_SECONDS if study.is_complete() else 0.0)
        try:
            yield
        finally:
            stack.close()
            if [found.name for found in study.folder.iterdir()] == [path.name]:
                path.unlink()
                study.folder.rmdir()


def standing(study: StudyLog, num_trials: int, lacks: str = "") -> str:
    """Return the first line of a study: new, continued or complete.

    Args:
        study: Its log, perhaps not begun.
        num_trials: Trials of all its searches [count].
        lacks: What a complete study is to do nevertheless; empty: nothing.
    """
    name = study.folder.name
    if not study.exists():
        return f"study {name}: new"
    if study.is_complete():
        return f"study {name}: " + (f"continued, {lacks}" if lacks else "complete, nothing to do")
    states = [
        log.read()["state"] for one in [*study.outer_studies(), study] for log in one.trials()
    ]
    done = sum(state != "running" for state in states)
    return f"study {name}: continued, {done} of {num_trials} trials done"


def manifest_of(study: StudyLog, config: StudyConfig) -> Manifest:
    """Read the manifest of a study that begins or goes on.

    Raises:
        ManifestError: With every fault of the manifest.
        StudyError: With the same where the study was begun, perhaps by an earlier version, which
            looked for less; says how it can go on. If a subject of the study has withdrawn.
    """
    _refuse_withdrawn(study)
    try:
        return open_manifest(config.data, output=config.output, any_id=study.exists())
    except ManifestError as error:
        if not study.exists():
            raise
        raise StudyError(
            f"study {study.folder.name} cannot go on with its manifest, which was moved, has "
            f"changed since, or has faults that the version it began with did not look for: {error}"
            "\nIf it was moved, give data.manifest=... with its new place. If ids that look alike "
            "are different people, add data.different_subjects=... as it says; the study then goes "
            "on. Else correct the manifest and start a new study with another search.name"
        ) from error


def _refuse_withdrawn(study: StudyLog) -> None:
    from pdray.tracking.withdrawn import refuse_withdrawn  # no trial needs it

    refuse_withdrawn(study, "cannot be continued")


def check_same(plan: StudyPlan, study: StudyLog, digest: str, say: Say) -> None:
    """Refuse to continue a study with settings or data that change its scores.

    A complete study cannot get more trials either: its test score is known, and would influence
    the choice among them. A setting that an older study does not have counts with its default,
    or with the earlier value that it names, which means the old behaviour. A file that was moved is
    the same file if its content is.

    Args:
        plan: The requested settings.
        study: The study's log; a new study passes.
        digest: Digest of the manifest.
        say: Prints a line for each file that was moved.

    Raises:
        StudyError: Names what has changed.
        PluginError: If the study used a plug-in that is not installed here.
    """
    if not study.exists():
        return
    saved = study.read()
    _refuse_withdrawn(study)
    require(saved["tags"], saved["name"])
    _check_trials(study, saved, plan.config.search.trials)
    if saved["tags"]["manifest_digest"] != digest:
        raise StudyError(
            f"study {saved['name']}: the manifest has changed since the study started; start a new "
            "study with another search.name"
        )
    old, new = _flat(saved["settings"]), _flat(plan.tree)
    # Pass through JSON like the saved settings, where tuples are lists.
    since = {key: plain_default(field) for key, field in leaves(StudyConfig) if key not in old}
    since |= {key: was for key, was in earlier_values(StudyConfig).items() if key not in old}
    before = json.loads(json.dumps(since, default=str)) | old
    changed = sorted(
        key for key in old.keys() | new.keys() if before.get(key) != new.get(key) and decides(key)
    )
    kept = study.weights_path
    digests = read_json(kept) if kept.exists() else {}
    digests[before.get("data.manifest")] = digest
    moved = [key for key in changed if _is_moved(before.get(key), new.get(key), digests)]
    for key in moved:
        say(f"note: {key} is now {new[key]}, with the same content as {before[key]}")
    changed = [key for key in changed if key not in moved]
    if changed:
        told = "; ".join(f"{key} was {before.get(key)!r}, is {new.get(key)!r}" for key in changed)
        raise StudyError(
            f"study {saved['name']} exists in {study.folder} with other settings: {told}; "
            "give the new study another search.name"
        )


def _check_trials(study: StudyLog, saved: Mapping[str, Any], asked: int) -> None:
    """Refuse another number of trials where a winner was scored."""
    trials = saved["settings"]["search"]["trials"]
    # The winner is complete while its folds are trained again, and the study is not yet.
    has_winner = study.winner.exists() and study.winner.read()["state"] == "complete"
    if (saved["state"] == "complete" or has_winner) and asked > trials:
        raise StudyError(
            f"study {saved['name']} has a winner that was scored on the test set, so it cannot be "
            f"extended to {asked} trials; start a new study with another search.name"
        )
    scored = sum(one.winner.exists() for one in study.outer_studies())
    if scored and asked != trials and saved["state"] != "complete":
        raise StudyError(
            f"study {saved['name']}: {scored} of its outer folds were searched with {trials} "
            f"trials each and scored, so that it cannot go on with {asked}; set search.trials="
            f"{trials}, or start a new study with another search.name"
        )


def _is_moved(old: object, new: object, digests: Mapping[str, str]) -> bool:
    """Return whether two values are paths of files with one content; digests are those of then."""
    if not isinstance(old, str) or not isinstance(new, str) or old not in digests:
        return False
    return Path(new).is_file() and file_digest(Path(new)) == digests[old]


def keep_entries(study: StudyLog, stored: Mapping[str, StoredRecording]) -> None:
    """Save which store entries a study reads; refuse to continue if a recording has changed.

    Raises:
        StudyError: If the content of a recording has changed since the study started, or whether
            it can be read; names the recording.
    """
    now = {name: [path.stem for path in one.paths.values()] for name, one in stored.items()}
    table = study.folder / "entries.json"
    if not (study.exists() and table.exists()):
        study.write(table.name, json.dumps(now, indent=1, sort_keys=True))
        return
    before = read_json(table)
    changed = sorted(
        name for name in before.keys() | now.keys() if before.get(name) != now.get(name)
    )
    if changed:
        raise StudyError(
            f"study {study.folder.name}: the files of recordings {', '.join(changed[:5])}"
            f"{f' and {len(changed) - 5} more' if len(changed) > 5 else ''} have changed since the "
            "study started, or have become readable or unreadable; restore the old files, or "
            "start a new study with another search.name"
        )


def decides(key: str) -> bool:
    """Return whether a study's scores depend on a setting; ``key`` is dotted."""
    sections = ("resources.", "tracking.", "stream.", "limits.", "report.", "checks.")
    values = (
        "search.hours", "search.patience", "search.parallel_folds",
        "search.trials", "search.max_concurrent_trials", "search.name", "output",
        "search.nested_hours", "search.keep_folds", "evaluation.permutations",
        "data.different_subjects",  # they are split as two people in any case
        "data.allow_outside",
    )  # fmt: skip
    return not key.startswith((*sections, *values))


def _flat(tree: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(tree, dict):
        return {prefix[:-1]: tree}
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        flat.update(_flat(value, f"{prefix}{key}."))
    return flat
