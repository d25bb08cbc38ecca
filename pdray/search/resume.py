"""Checks whether a study may be continued: no other job, same settings, same files."""

import fcntl
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from pdray.atomic import write_text
from pdray.config import leaves, plain_default, require_writable
from pdray.data.cohort.rated import StoredRecording
from pdray.errors import StudyError
from pdray.plugins import require
from pdray.search.plan import StudyPlan
from pdray.search.settings import StudyConfig
from pdray.tracking.run_log import StudyLog


@contextmanager
def only_driver(study: StudyLog) -> Iterator[None]:
    """Lock a study's folder, so that a second job cannot run the same trials.

    If no study was started in it, the folder is removed at the end.

    Raises:
        SettingsError: If the folder cannot be made or written.
        StudyError: If another job has locked it.
    """
    require_writable(study.folder, key="output")
    study.folder.mkdir(parents=True, exist_ok=True)
    path = study.folder / "driver.lock"
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise StudyError(
                f"study {study.folder.name} is already run by another job; wait for its end, or "
                "give this study another search.name"
            ) from error
        try:
            yield
        finally:
            if [found.name for found in study.folder.iterdir()] == [path.name]:
                path.unlink()
                study.folder.rmdir()


def check_same(plan: StudyPlan, study: StudyLog, digest: str) -> None:
    """Refuse to continue a study with settings or data that change its scores.

    A complete study cannot get more trials either: its test score is known, and would influence
    the choice among them. A setting that an older study does not have counts with its default,
    which means the old behaviour.

    Args:
        plan: The requested settings.
        study: The study's log; a new study passes.
        digest: Digest of the manifest.

    Raises:
        StudyError: Names what has changed.
        PluginError: If the study used a plug-in that is not installed here.
    """
    if not study.exists():
        return
    saved = study.read()
    require(saved["tags"], saved["name"])
    asked = plan.config.search.trials
    if saved["state"] == "complete" and asked > saved["settings"]["search"]["trials"]:
        raise StudyError(
            f"study {saved['name']} is complete and its winner was scored on the test set, so it "
            f"cannot be extended to {asked} trials; start a new study with another search.name"
        )
    if saved["tags"]["manifest_digest"] != digest:
        raise StudyError(
            f"study {saved['name']}: the manifest has changed since the study started; start a new "
            "study with another search.name"
        )
    old, new = _flat(saved["settings"]), _flat(plan.tree)
    # Pass through JSON like the saved settings, where tuples are lists.
    since = {key: plain_default(field) for key, field in leaves(StudyConfig) if key not in old}
    before = json.loads(json.dumps(since, default=str)) | old
    changed = sorted(
        key for key in old.keys() | new.keys() if before.get(key) != new.get(key) and decides(key)
    )
    if changed:
        told = "; ".join(f"{key} was {before.get(key)!r}, is {new.get(key)!r}" for key in changed)
        raise StudyError(
            f"study {saved['name']} exists in {study.folder} with other settings: {told}; "
            "give the new study another search.name"
        )


def keep_entries(study: StudyLog, stored: Mapping[str, StoredRecording]) -> None:
    """Save which store entries a study reads; refuse to continue if a recording has changed.

    Raises:
        StudyError: If the content of a recording has changed since the study started, or whether
            it can be read; names the recording.
    """
    now = {name: [path.stem for path in one.paths.values()] for name, one in stored.items()}
    table = study.folder / "entries.json"
    if not (study.exists() and table.exists()):
        write_text(table, json.dumps(now, indent=1, sort_keys=True))
        return
    before = json.loads(table.read_text(encoding="utf-8"))
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
    sections = ("resources.", "tracking.", "stream.", "limits.")
    values = ("search.trials", "search.max_concurrent_trials", "search.name", "output")
    return not key.startswith((*sections, *values))


def _flat(tree: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(tree, dict):
        return {prefix[:-1]: tree}
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        flat.update(_flat(value, f"{prefix}{key}."))
    return flat
