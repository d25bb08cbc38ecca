from pathlib import Path

import numpy as np
import torch

from benchmarks.changed_people import guide_settings, people
from benchmarks.translation import QUICK
from pdray.data.store.entry import Entry
from pdray.training.translators.guide import open_guide


def test_people_are_disjoint_kept_and_guided_by_another_network_than_the_judge(
    tmp_path: Path,
) -> None:
    some = people(400, 2.0, QUICK, tmp_path)
    pictures = some.pictures
    scored = {
        name for name, fold in zip(pictures.subjects, pictures.held_in, strict=True) if fold >= 0
    }
    learnt = {one.subject_id for one in some.learnt}
    assert (len(scored), len(learnt)) == (QUICK.scored, QUICK.learnt)
    assert not scored & learnt
    for name in learnt:
        classes = [one.target for one in some.learnt if one.subject_id == name]
        assert sorted(classes) == [0] * QUICK.visits + [1] * QUICK.visits
    entry = some.learnt[0].stored
    assert entry is not None
    frames = Entry(entry["portraits"])
    np.testing.assert_array_equal(
        frames.read(np.arange(1))[0],
        next(
            picture
            for picture, name in zip(pictures.pictures, pictures.subjects, strict=True)
            if name == some.learnt[0].subject_id
        ),
    )
    shuffled = [one.target for one in some.shuffled]
    assert sorted(shuffled) == sorted(one.target for one in some.learnt)
    assert shuffled != [one.target for one in some.learnt]
    study = open_guide(some.guide())
    assert study.config == guide_settings(QUICK)
    assert study.folds.development == learnt
    own, control = (
        study.load(open_guide(some.guide(is_shuffled=one)).study.winner.model_path)
        for one in (False, True)
    )
    assert any(
        not torch.equal(one, other)
        for one, other in zip(own.parameters(), control.parameters(), strict=True)
    )
    written = {path: path.stat().st_mtime_ns for path in some.folder.rglob("*") if path.is_file()}
    again = people(400, 2.0, QUICK, tmp_path)
    assert again.folder == some.folder
    np.testing.assert_array_equal(again.pictures.pictures, pictures.pictures)
    assert again.pictures.subjects == pictures.subjects
    assert again.learnt == some.learnt
    again.guide()
    assert written == {
        path: path.stat().st_mtime_ns for path in some.folder.rglob("*") if path.is_file()
    }
    assert people(401, 2.0, QUICK, tmp_path).folder != some.folder
