"""The classes of actions, which a manifest numbers itself, against the cuts of a study.

The grades of a rating scale may be joined, so a cut is a threshold and every grade from the last
one on is of the top class. The number of an action's class has no order: one beyond the cuts would
be taken for the top class.
"""

from collections.abc import Sequence

from pdray.data.manifest import ACTION, Recording
from pdray.errors import ManifestError


def check_action_classes(recordings: Sequence[Recording], cuts: Sequence[int]) -> None:
    """Refuse actions of a class that the cuts do not make.

    Args:
        recordings: Of any item; one that is not graded is passed over.
        cuts: First number of each class but the lowest.

    Raises:
        ManifestError: If the class of an action is outside 0..len(cuts); counts the recordings,
            names the first one and its class and says which cuts there must be.
    """
    actions = [one for one in recordings if one.item == ACTION and one.grade is not None]
    beyond = [one for one in actions if one.grade not in range(len(cuts) + 1)]
    if beyond:
        highest = max(one.grade or 0 for one in actions)
        raise ManifestError(
            f"item {ACTION}: {len(beyond)} of {len(actions)} recordings have a class outside "
            f"0..{len(cuts)}, the first {beyond[0].recording_id} with {beyond[0].grade}; with "
            f"classes up to {highest}, data.grade_cuts must be every number from 1 to {highest}, "
            f"got {list(cuts)}"
        )
