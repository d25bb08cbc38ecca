"""Videos show SYNTHETIC recordings, and people who agreed where the user asks for them."""

from dataclasses import replace
from pathlib import Path

import pytest

from pdray.config import build
from pdray.explain import run as explaining
from pdray.explain.held_out import may_be_shown, open_held_out
from pdray.explain.settings import ExplainConfig
from pdray.tracking.numbering import number_recordings
from pdray.tracking.run_log import StudyLog


def name_of(number: int) -> str:
    return f"S{number:03d}_V1_face_interview"


@pytest.mark.parametrize(
    ("show_people", "consents", "shown", "why"),
    [
        (False, ("yes", "yes", "yes"), (), "set show_people=true"),
        (True, ("yes", "no", None), (1,), "consent_pictures is not yes"),
        (True, ("yes", "yes", "yes"), (1, 2, 3), None),
    ],
)
def test_people_are_shown_only_on_request_and_with_their_consent(
    study: StudyLog,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    show_people: bool,
    consents: tuple[str | None, ...],
    shown: tuple[int, ...],
    why: str | None,
) -> None:
    held = open_held_out(study.folder)
    rows = tuple(
        replace(row, site="Ulm", consent_pictures=consent)
        for row, consent in zip(held.rows, consents, strict=True)
    )
    monkeypatch.setattr(explaining, "open_held_out", lambda folder: replace(held, rows=rows))
    told: list[str] = []
    asked = {"layers": ["layer4"], "show_people": show_people}
    config = {"study": study.folder, "output": tmp_path / "maps", **asked}
    done = explaining.explain(build(ExplainConfig, config), told.append)
    numbers = number_recordings(study, {})
    assert [path.stem for path in done.videos] == [numbers[name_of(n)] for n in shown]
    assert len(list(done.folder.rglob("*.mp4"))) == len(shown)
    assert len(list((done.folder / "attention").iterdir())) == 3  # which show nobody
    said = f"videos     of {3 - len(shown)} of 3 recordings are left out"
    assert [said in line and why in line for line in told if "left out" in line] == [True] * bool(
        why
    )
    assert not any(name_of(1) in line for line in told)


def test_who_shares_a_file_or_has_refused_once_is_not_shown(study: StudyLog) -> None:
    held = open_held_out(study.folder)
    rows = [replace(row, site=None, consent_pictures="yes") for row in held.rows]
    rows[0] = replace(rows[0], together=frozenset({"S001", "S006"}))
    again = replace(rows[1], recording_id="again", consent_pictures=None)
    held = replace(held, rows=(*rows, again))
    assert may_be_shown(held, rows, show_people=True) == {name_of(3)}
