"""Draws inner folds anew, so that a choice among trials does not follow one assignment."""

from collections.abc import Sequence

from pdray.data.cohort.folds import make_held_out_folds
from pdray.data.cohort.rated import FoldSides, RatedRecording, with_made
from pdray.data.cohort.settings import FoldsConfig
from pdray.errors import FoldsError

_DRAWS = 20
_SEEDS = 2**32  # of scikit-learn


def reshuffled(
    recordings: Sequence[RatedRecording],
    sides: tuple[FoldSides, ...],
    *,
    num_classes: int,
    seed: int,
    made_share: float = 0.0,
) -> tuple[FoldSides, ...]:
    """Return other inner folds of the same subjects, as many and stratified as the study's own.

    A draw that leaves a class out of a training side is repeated; the study's own folds remain if
    20 draws do.

    Args:
        recordings: To which the positions refer.
        sides: The study's own folds.
        num_classes: How many classes the model has.
        seed: Of the draw.
        made_share: Most made recordings of a class, for each real one.
    """
    used = {place for side in sides for place in (*side.training, *side.evaluation)}
    places = sorted(place for place in used if not recordings[place].carries)
    people = [recordings[place].people for place in places]
    classes = [recordings[place].target for place in places]
    for draw in range(_DRAWS):
        config = FoldsConfig(num_folds=len(sides), seed=(seed + draw) % _SEEDS)
        try:
            folds = make_held_out_folds(
                people, classes, config, num_classes=num_classes, key="folds.num_folds"
            )
        except FoldsError:
            continue
        return tuple(
            with_made(
                recordings,
                FoldSides(
                    tuple(place for place in places if recordings[place].people not in held),
                    tuple(place for place in places if recordings[place].people in held),
                ),
                made_share,
            )
            for held in folds.folds
        )
    return sides
