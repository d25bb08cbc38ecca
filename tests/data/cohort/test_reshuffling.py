from dataclasses import replace

from pdray.data.cohort.rated import FoldSides, RatedRecording
from pdray.data.cohort.reshuffling import reshuffled


def recordings(classes: list[int]) -> list[RatedRecording]:
    return [
        RatedRecording(f"{person}{side}", f"S{person}", "gait", target, target, None)
        for person, target in enumerate(classes) for side in "lr"
    ]  # fmt: skip


def test_each_seed_draws_other_folds_of_the_same_subjects() -> None:
    rows = recordings([0, 1] * 6)
    rows = [replace(one, group="pair") if one.subject_id in ("S2", "S3") else one for one in rows]
    own = (FoldSides(tuple(range(8, 20)), tuple(range(8))),
           FoldSides(tuple(range(8)), tuple(range(8, 20))))  # fmt: skip
    drawn = [reshuffled(rows, own, num_classes=2, seed=seed) for seed in (1, 2, 1)]
    assert drawn[0] == drawn[2] != drawn[1]
    for sides in drawn:
        assert sorted(place for side in sides for place in side.evaluation) == list(range(20))
        for side in sides:
            assert sorted((*side.training, *side.evaluation)) == list(range(20))
            learnt, held = ({rows[i].people for i in of} for of in (side.training, side.evaluation))
            assert not learnt & held
            assert {rows[i].target for i in side.training} == {0, 1}


def test_folds_that_cannot_be_drawn_otherwise_stay() -> None:
    rows = recordings([0, 1, 0])
    own = (FoldSides((2, 3, 4, 5), (0, 1)), FoldSides((0, 1, 2, 3), (4, 5)))
    assert reshuffled(rows, own, num_classes=2, seed=5) == own
