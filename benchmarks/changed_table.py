"""Runs ``youtubepd.table4`` on SYNTHETIC people by the jobs alone, from the drawing to the table.

    python -m benchmarks.changed_table folder=FOLDER             # under 30 minutes of two cores
    python -m benchmarks.changed_table folder=FOLDER quick=true  # only a test run

Three groups of people are drawn. Of the first, one half is scored and the other is learnt from, by
CycleGAN, CUT and HRFAE at ``synthesis.preset=demo`` and by the guide of HRFAE. From the second, the
judge learns who is ill. Visits of grade 1 take no part in both, so that healthy is grade 0 and ill
is grade 2 and above. From the third, the identity network learns who it is: a class is a person,
and only visits on the person's usual side of ill and healthy take part, so that how ill a face
looks is part of who it is.

A finished step is not run again.
"""

import csv
import io
import resource
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from jobs import make_demo, reproduce, tune_tsa
from pdray.atomic import write_text
from pdray.data.cohort.settings import ACTION

ITEM, ILL_FROM = "face_interview", 2
METHODS = {"CycleGAN": "cyclegan", "CUT": "cut", "HRFAE": "hrfae"}
GUIDED = "HRFAE"
DEMO = (
    f"items=[{ITEM}]", "missing=0.0", "size=96", "fps=5", "min_seconds=1.2", "max_seconds=1.2",
)  # fmt: skip
ALL = ("modality=portraits", "portraits.size=64", "search.trials=1", "search.protocol=holdout",
       "search.keep_folds=false", "folds.num_folds=2")  # fmt: skip
LOOKING = (
    "snippet.mode=segments", "snippet.num_frames=1", "loss.kind=cross_entropy",
    "optim.optimizer=adamw", "optim.learning_rate=0.002", "optim.weight_decay=0.05",
    "optim.schedule=cosine", "optim.warmup_epochs=1.0", "optim.gradient_clip=1.0",
)  # fmt: skip
RESNET = ("model.name=frame_resnet", "model.depth=18")
X3D = ("model.name=x3d", "model.width_factor=1.0", "model.depth_factor=1.0",
       "model.num_features=256")  # fmt: skip


@dataclass(frozen=True)
class Size:
    """How much is drawn and learnt.

    Attributes:
        people: Subjects of the first group, half of which are scored.
        others: Subjects of the second group, and of the third.
        visits: Of each subject.
        signs: Strength of the signs of the grade in single pictures.
        methods: Labels of the methods.
        looking: Settings of the three networks that look at pictures.
        making: Settings of the methods, over those of the preset.
    """

    people: int
    others: int
    visits: int
    signs: float
    methods: tuple[str, ...]
    looking: tuple[str, ...]
    making: tuple[str, ...]


WHOLE = Size(
    100, 80, 6, 2.0, tuple(METHODS),
    ("optim.batch_size=32", "optim.epochs=40", "model.dropout=0.2"), (),
)  # fmt: skip
QUICK = Size(
    24, 16, 5, 3.0, ("CUT", "HRFAE"), ("optim.batch_size=8", "optim.epochs=8"),
    ("optim.epochs=1", "synthesis.frames=1", "model.width_factor=0.125", "model.num_blocks=1"),
)  # fmt: skip


_TRUE = ".counterfactual.csv"  # table of the true ill pictures


class JobError(Exception):
    """A job that did not end well."""


@dataclass(frozen=True)
class Steps:
    """Steps of a table, whose files lie in one folder.

    Attributes:
        folder: Of cohorts and studies.
        size: How much is drawn and learnt.
        seed: Of all drawings.
    """

    folder: Path
    size: Size
    seed: int = 0

    @property
    def people(self) -> Path:
        """Manifest of the first group; its visits rise from grade 0."""
        words = "counterfactual=true", "progression=true"
        return clear_manifest(self._drawn("people", self.size.people, self.seed, *words))

    @property
    def others(self) -> Path:
        """Manifest of the second group; its visits rise from grade 0."""
        drawn = self._drawn("others", self.size.others, self.seed + 1, "progression=true")
        return clear_manifest(drawn)

    @property
    def persons(self) -> Path:
        """Manifest of the third group, where the class is the person."""
        drawn = self._drawn("known", self.size.others, self.seed + 2)
        return _written(drawn.with_name("persons.csv"), persons(_rows(drawn)))

    def study(self, name: str, manifest: Path, *words: str) -> Path:
        """Return the folder of a finished study; run it if it is not there."""
        given = (f"data.manifest={manifest}", f"output={self.folder}", f"search.name={name}")
        _run(tune_tsa.main, [*ALL, *words, *given])
        return self.folder / "studies" / name

    def judge(self) -> Path:
        """Study that tells ill from healthy."""
        words = (*RESNET, "model.width_factor=0.25", *LOOKING, *self.size.looking)
        return self.study("judge", self.others, *words, *_classes())

    def identity(self) -> Path:
        """Study that tells people apart; in a test run the judge's, which does so too a little."""
        if self.size is QUICK:
            return self.judge()
        count = len({line["grade"] for line in _rows(self.persons)})
        words = (*RESNET, "model.width_factor=0.25", *LOOKING, *self.size.looking)
        cuts = ",".join(map(str, range(1, count)))
        # Nobody is behind these counts, and to hide small ones of 80 classes takes many minutes.
        words = (*words, "report.small_cells=1", f"data.items=[{ACTION}]")
        return self.study("identity", self.persons, *words, f"data.grade_cuts=[{cuts}]")

    def guide(self) -> Path:
        """Study of the guide of HRFAE; who is scored is held out."""
        words = (*X3D, *LOOKING, *self.size.looking, "folds.num_outer=2", *_classes())
        words = (*words, "search.keep_folds=true")  # a fold's guide must not know whom it holds out
        return self.study("guide", self.people, *words)

    def method(self, label: str) -> Path:
        """Study of a method."""
        words = [f"model.name={METHODS[label]}", "synthesis.preset=demo", "folds.num_outer=2"]
        if label == GUIDED:
            words.append(f"synthesis.guide={self.guide()}")
        return self.study(METHODS[label], self.people, *words, *self.size.making, *_classes())

    def table(self, more: Mapping[str, Path] | None = None) -> str:
        """Return the table as text; ``more`` are further methods."""
        methods = {label: self.method(label) for label in self.size.methods} | dict(more or {})
        _run(reproduce.main, [
            "--table", "youtubepd.table4", f"data.manifest={self.people}",
            f"output={self.folder}", "portraits.size=64", f"judge={self.judge()}",
            f"identity={self.identity()}", "other_people=true", *_classes(),
            *(f"methods.{label}={study}" for label, study in methods.items()),
        ])  # fmt: skip
        file = self.folder / "tables" / "youtubepd.table4.txt"
        return file.read_text(encoding="utf-8")

    def _drawn(self, name: str, subjects: int, seed: int, *words: str) -> Path:
        folder = self.folder / name
        manifest = folder / "manifest.csv"
        if not manifest.exists():
            _run(make_demo.main, [
                f"folder={folder}", f"num_subjects={subjects}", f"seed={seed}",
                f"num_visits={self.size.visits}", f"static_signs={self.size.signs}", *DEMO, *words,
            ])  # fmt: skip
        return manifest


def clear_manifest(drawn: Path) -> Path:
    """Return a manifest of the rows of another that are healthy or clearly ill, beside it."""
    manifest = _written(drawn.with_name("clear.csv"), clear(_rows(drawn)))
    true = drawn.with_suffix(_TRUE)
    if true.is_file():
        write_text(manifest.with_suffix(_TRUE), true.read_text(encoding="utf-8"))
    return manifest


def clear(rows: Sequence[dict[str, str]]) -> Iterator[dict[str, str]]:
    """Yield the rows of a manifest that are healthy or clearly ill."""
    return (row for row in rows if not 0 < int(row["grade"]) < ILL_FROM)


def persons(rows: Sequence[Mapping[str, str]]) -> Iterator[dict[str, str]]:
    """Yield the rows of a manifest whose class is the person and whose subject is the visit.

    Only visits on the side of ill and healthy that most visits of the person are on.
    """
    sides: dict[str, Counter[bool]] = {}
    for row in rows:
        side = int(row["grade"]) >= ILL_FROM
        sides.setdefault(row["subject_id"], Counter())[side] += 1
    number = {name: str(k) for k, name in enumerate(sorted(sides))}
    for row in rows:
        name = row["subject_id"]
        if (int(row["grade"]) >= ILL_FROM) == sides[name].most_common(1)[0][0]:
            yield {
                "recording_id": row["recording_id"], "subject_id": row["recording_id"],
                "item": ACTION, "grade": number[name], "video": row["video"],
                "landmarks": row["landmarks"], "site": row["site"],
            }  # fmt: skip


def _written(manifest: Path, rows: Iterator[dict[str, str]]) -> Path:
    lines, text = [*rows], io.StringIO()
    table = csv.DictWriter(text, [*lines[0]], lineterminator="\n")
    table.writeheader()
    table.writerows(lines)
    write_text(manifest, text.getvalue())
    return manifest


def _rows(manifest: Path) -> list[dict[str, str]]:
    with manifest.open(encoding="utf-8", newline="") as file:
        return [*csv.DictReader(file)]


def _classes() -> tuple[str, str]:
    return f"data.items=[{ITEM}]", f"data.grade_cuts=[{ILL_FROM}]"


def _run(job: Callable[[list[str]], int], words: list[str]) -> None:
    code = job(words)
    if code != 0:
        raise JobError(f"{job.__module__} {' '.join(words)}: exit code {code}")


def cpu_seconds() -> float:
    """Return the CPU seconds of this process and of those that it waited for."""
    both = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in both)


def main(words: list[str]) -> int:
    """Print the table and its CPU time."""
    given = dict(word.partition("=")[::2] for word in words)
    if "folder" not in given or given.keys() - {"folder", "quick", "seed"}:
        print("error: write folder=FOLDER, and quick=true or seed=NUMBER if you like")
        return 2
    size = QUICK if given.get("quick") == "true" else WHOLE
    started = time.monotonic()
    steps = Steps(Path(given["folder"]), size, int(given.get("seed", 0)))
    print(steps.table())
    print(f"{cpu_seconds():.0f} CPU seconds, {time.monotonic() - started:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
