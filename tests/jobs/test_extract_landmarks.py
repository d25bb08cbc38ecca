from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from jobs.extract_landmarks import main
from pdray.importers.mediapipe import landmarker
from pdray.importers.mediapipe.points import NUM_MESH


class Everywhere:
    """A landmarker that finds a SYNTHETIC face in bright pictures."""

    def detect(self, picture: np.ndarray, milliseconds: int) -> np.ndarray | None:
        mesh = np.random.default_rng(0).uniform(0.2, 0.8, (NUM_MESH, 2))
        return mesh if picture.mean() > 100 else None


@contextmanager
def opened(model: Path, *, still: bool = False) -> Iterator[Everywhere]:
    assert model == Path("x.task")
    yield Everywhere()


@pytest.fixture
def manifest(write_video: Callable[..., Path], write_manifest: Callable[..., Path]) -> Path:
    rows = []
    for name, grey in (("light", 255), ("dark", 0)):
        write_video(f"{name}.mp4", np.full((6, 32, 32, 3), grey, np.uint8))
        rows.append({"recording_id": name, "subject_id": name, "item": "face_interview",
                     "video": f"{name}.mp4"})  # fmt: skip
    return write_manifest(rows)


def test_it_says_what_was_found_and_what_was_not(
    manifest: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(landmarker, "open_landmarker", opened)
    output = tmp_path / "new.csv"
    assert main([f"manifest={manifest}", "model=x.task", f"output={output}", "size=64"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "recordings 1/2",
        "recordings 2/2",
        f"manifest   {output}",
        "tracks     1 recordings; 0 more had tracks already",
        "faces      found in 6 of 6 frames, 0 of them by a closer look",
        f"lacking    {tmp_path / 'new.no_face.csv'}, 1 rows",
        "           dark: has no face in any of its 6 frames, looked at whole and in 68 parts; the "
        "face may be too small (lower than 2 of 64 x 64 px), turned away or hidden: film closer, "
        "or cut out the upper body",
    ]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "is missing and has no default"),
        (["manifest=nowhere.csv", "model=x", "output=m.csv"], "nowhere.csv: cannot be read"),
        (
            ["manifest=x", "model=x", "output=m.txt"],
            "output: got m.txt; give the name of a new .csv file",
        ),
    ],
)
def test_mistakes_are_told_with_exit_code_2(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    assert message in capsys.readouterr().err
