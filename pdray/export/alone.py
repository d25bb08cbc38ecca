"""Grades videos with the model in this folder, for research, not for care.

usage: python predict.py [item=ITEM] VIDEO ... > predictions.csv
"""

import csv
import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))  # the pdray of this folder, whatever else is installed
from pdray.errors import PdrayError  # noqa: E402
from pdray.export.reading import describe, grade, named  # noqa: E402


def main(words: list[str]) -> None:
    """Print one row per video, as pdray's jobs/predict.py writes it."""
    facts = json.loads(
        (HERE / "settings.json").read_text(), object_hook=lambda one: SimpleNamespace(**one)
    )
    grades = json.loads((HERE / "labels.json").read_text())
    items = [word.removeprefix("item=") for word in words if word.startswith("item=")]
    items = items or list(grades)
    videos = [Path(word) for word in words if not word.startswith("item=")]
    if not videos or len(items) != 1 or items[0] not in grades:
        raise SystemExit(f"{__doc__}\nITEM is one of: {', '.join(grades)}")
    network = load(facts)
    sys.stdout.write(f"{facts.comment}\n")
    table = csv.DictWriter(sys.stdout, facts.columns, extrasaction="ignore", lineterminator="\n")
    table.writeheader()
    for video, name in zip(videos, named(videos), strict=True):
        cells = {"recording_id": name, "item": items[0], "num_models": 0}
        try:
            inputs, note = describe(video, facts)
            with torch.inference_mode():
                scores = [network(one[None])[0] for one in torch.from_numpy(inputs)]
            cells |= grade(torch.stack(scores).double().numpy(), facts, grades[items[0]])
        except PdrayError as error:
            note = str(error)
        table.writerow(cells | {"note": note})


def load(facts: Any) -> Any:
    """Return the network; whatever torch raises, say which versions meet."""
    try:
        return torch.export.load(HERE / "network.pt2").module()
    except Exception as error:
        told = f"written by torch {facts.versions.torch}, here is torch {torch.__version__}"
        way = "pip install -r requirements.txt, in an environment of its own"
        raise SystemExit(f"network.pt2 cannot be loaded ({told}): {error}; {way}") from error


if __name__ == "__main__":
    main(sys.argv[1:])
