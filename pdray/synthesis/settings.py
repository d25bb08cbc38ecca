"""Settings of ``jobs/synthesize.py``."""

from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from pdray.config import Settings, nearest
from pdray.data.cohort.settings import DataConfig, FoldsConfig
from pdray.data.face.settings import DampConfig
from pdray.evaluation.settings import CopySettings
from pdray.synthesis.methods import METHODS
from pdray.synthesis.terms import Family, terms_fault

Protocol = Literal["holdout", "nested", "comparison"]


class SynthesisConfig(CopySettings):
    """Settings of every method."""

    strengths: tuple[float, ...] = Field(
        (0.0, 0.25, 0.5, 0.75, 1.0),
        min_length=1,
        description="strengths of the edit to make of each recording, rising from 0 (none) to 1; "
        "only those of strength 1 become rows of the manifest",
    )
    study: tuple[Path, ...] = Field(
        (),
        description="finished study of the method (its folder), or several; needed by "
        "cyclegan, cut and hrfae",
    )
    protocol: Protocol | None = Field(
        None,
        description="whose folds get a set each: holdout: one search; nested: a search in each "
        "outer fold; comparison: folds.num_outer; null: holdout with synthesis.study, else as a "
        "search of an estimator chooses",
    )
    accept_terms: tuple[Family, ...] = Field(
        (),
        description="families of methods whose terms you accept; asked once, kept in the settings "
        "of the job",
    )

    identity: Path | None = Field(
        None,
        description="folder of a study with modality=portraits that tells people apart, and learnt "
        "from none of the manifest's, or the file of VGGFace2's ResNet-50; methods that make "
        "pictures of faces need it, to look for copies",
    )

    @field_validator("study", mode="before")
    @classmethod
    def _one_or_several(cls, study: Any) -> Any:
        return (study,) if isinstance(study, str | Path) else study

    @field_validator("strengths")
    @classmethod
    def _rise(cls, strengths: tuple[float, ...]) -> tuple[float, ...]:
        rising = list(strengths) == sorted(set(strengths))
        if not rising or strengths[0] < 0 or strengths[-1] != 1:
            raise ValueError(f"got {list(strengths)}: expected rising numbers from 0 to 1, with 1")
        return strengths


class SynthesizeConfig(Settings):
    """Settings of ``jobs/synthesize.py``."""

    help_groups: ClassVar = {
        "recordings": (
            "data.items", "data.grade_cuts", "data.target", "data.allow_outside",
            "folds.num_outer", "folds.num_folds", "folds.outer_fold", "folds.seed",
        ),
        "settings": (
            "synthesis.study", "synthesis.strengths", "synthesis.protocol",
            "synthesis.accept_terms", "synthesis.identity", "synthesis.max_copies",
            "damp.factor", "damp.head",
        ),
    }  # fmt: skip
    method: str = Field(description=f"how recordings are changed: {', '.join(METHODS)}")
    output: Path = Field(
        description="manifest to write, .csv; made recordings go into a folder next to it"
    )
    data: DataConfig
    folds: FoldsConfig = FoldsConfig()
    synthesis: SynthesisConfig = SynthesisConfig()
    damp: DampConfig = DampConfig()
    other_people: bool = Field(
        False,
        description="the people of synthesis.identity are others than the manifest's, also where "
        "their ids are equal; false: an equal id is the same person",
    )

    @field_validator("method")
    @classmethod
    def _is_known(cls, method: str) -> str:
        if method not in METHODS:
            hint = nearest(method, list(METHODS))
            raise ValueError(f"got '{method}': {hint}methods: {', '.join(METHODS)}")
        return method

    @field_validator("output")
    @classmethod
    def _is_new(cls, output: Path) -> Path:
        if output.suffix != ".csv" or output.exists():
            raise ValueError(f"got {output}; give the name of a new .csv file")
        return output.absolute()

    @model_validator(mode="after")
    def _has_its_study(self) -> Self:
        needs, given = METHODS[self.method].needs_study, bool(self.synthesis.study)
        if needs and not given:
            raise ValueError(
                f"synthesis.study: method '{self.method}' needs the folder of a finished study: "
                f"train one with jobs/tune_tsa.py model.name={self.method} modality=portraits"
            )
        if given and not needs:
            raise ValueError(f"synthesis.study: method '{self.method}' has none; leave it out")
        return self

    @model_validator(mode="after")
    def _learns_from_real_ones(self) -> Self:
        if self.data.made != "none":
            raise ValueError("data.made: nothing is made of made recordings; leave it out")
        return self

    @model_validator(mode="after")
    def _accepts_terms(self) -> Self:
        accepted = self.synthesis.accept_terms
        if fault := terms_fault(self.method, METHODS[self.method].terms, accepted):
            raise ValueError(fault)
        return self

    @model_validator(mode="after")
    def _looks_for_copies(self) -> Self:
        place, of_faces = self.synthesis.identity, METHODS[self.method].terms == "faces"
        if of_faces and place is None:
            raise ValueError(
                f"synthesis.identity: method '{self.method}' makes pictures of faces, and each set "
                "is searched for copies of training people; give a study with "
                "modality=portraits that tells people apart and learnt from none of the "
                "manifest's, or the file of VGGFace2's ResNet-50"
            )
        if not of_faces and place is not None:
            raise ValueError(
                f"synthesis.identity: method '{self.method}' makes no pictures; leave it out"
            )
        if place is not None and not place.exists():
            raise ValueError(f"synthesis.identity: there is no {place.name}")
        return self
