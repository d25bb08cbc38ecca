"""Signs of hypomimia in the resting SYNTHETIC face: what a single picture shows of the grade.

Source of the signs: MDS-UPDRS item 3.2 (Goetz et al. 2008): masked face, lips parted at rest while
the mouth is not speaking. The face droops: the upper lids and the brows are lower, the corners of
the mouth hang, the lips are parted and the fold between nose and mouth is flat. The numbers are
invented; they make synthetic recordings, not a claim about patients.

People look more or less ill than they are, at every grade, and the parts of one face differ. So
classes overlap, whatever looks at the pictures. This chance knows no grade: the same person at
another grade has the same.
"""

from dataclasses import dataclass, replace

import numpy as np

from pdray.demo.face.movement import Expression
from pdray.demo.illness.movement import Doubles, at_severity

# One entry per grade, 0 to 5; a face's own appearance lies between the entries.
SHOWN = (0.0, 0.16, 0.42, 0.7, 0.88, 1.0)  # share of the full signs
# Full signs, in the units of an expression; the fold's is the share of its depth that is lost.
LIDS, BROWS, CORNERS, LIPS, FOLD = 0.36, 0.05, 1.1, 0.1, 0.9
WIDTH = 0.06  # spread of the corners that hang: they do not come nearer to each other

SUBJECT_SPREAD = 0.8  # grades: standard deviation of how ill a healthy person looks
RECORDING_SPREAD = 0.3  # the same between recordings of one person
PART_SPREAD = 0.25  # of the log of each part's share
FOLD_DEPTH = 1.9  # of a healthy face; a face without static signs has 1
FOLD_SPREAD = 0.4  # of its log
# Beyond these no face is drawn, however strong the signs are.
LEAST_OPEN, LOWEST_SMILE, LEAST_FOLD, MOST_SHOWN = 0.35, -2.2, 0.05, 1.6


@dataclass(frozen=True)
class StaticSigns:
    """Chance of one recording's static signs; independent of the grade.

    Attributes:
        strength: Of all signs: 1 as the module says, above 0.
        shift: By how much the face looks worse than it is [grades].
        parts: (5,) the person's factors of lids, brows, corners, lips and fold, around 1.
        fold_depth: Of the fold between nose and mouth when healthy; 1 is that of a face without
            static signs.
    """

    strength: float
    shift: float
    parts: Doubles
    fold_depth: float

    def shown(self, grade: int) -> Doubles:
        """Return (5,) the shares of the full signs of lids, brows, corners, lips and fold."""
        share = at_severity(SHOWN, grade + self.shift)  # held flat below 0 and above 5
        return np.asarray((self.strength * share * self.parts).clip(0, MOST_SHOWN))

    def droop(self, expression: Expression, grade: int) -> Expression:
        """Return the expression of a face whose rest follows the grade; its movement stays."""
        lids, brows, corners, lips, _ = self.shown(grade).astype(np.float32)
        return replace(
            expression,
            eye=expression.eye * max(1 - LIDS * lids, np.float32(LEAST_OPEN)),
            brow=expression.brow - np.float32(BROWS) * brows,
            mouth=expression.mouth + np.float32(LIPS) * lips,
            spread=expression.spread + np.float32(WIDTH) * corners,
            smile=(expression.smile - np.float32(CORNERS) * corners).clip(LOWEST_SMILE),
        )

    def fold(self, grade: int) -> float:
        """Return the depth of the fold beside the nose; 1 is that of a face without signs."""
        return self.fold_depth * max(1 - FOLD * float(self.shown(grade)[4]), LEAST_FOLD)


def draw_static_signs(
    strength: float, subject_rng: np.random.Generator, recording_rng: np.random.Generator
) -> StaticSigns:
    """Draw the chance of a recording's static signs.

    Args:
        strength: Of all signs, above 0; 1 is the default appearance.
        subject_rng: The same state for every recording of a subject.
        recording_rng: The recording's own.

    Returns:
        The chance, the same for the same states, whatever the strength.
    """
    own = SUBJECT_SPREAD * subject_rng.standard_normal()
    parts = np.exp(PART_SPREAD * subject_rng.standard_normal(5))
    depth = FOLD_DEPTH * float(np.exp(FOLD_SPREAD * subject_rng.standard_normal()))
    shift = own + RECORDING_SPREAD * recording_rng.standard_normal()
    return StaticSigns(strength, float(shift), parts, depth)
