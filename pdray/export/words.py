"""Texts of an export: preprocessing in words and numbers, and what the card says of people."""

from collections.abc import Mapping, Sequence
from typing import Any

from pdray.data.media.movement_spectrum import BAND_HZ, HIGHEST_HZ, NUM_BANDS
from pdray.data.modalities import picture_spec
from pdray.errors import PdrayError
from pdray.export.membership import Attack
from pdray.predict.models import Model
from pdray.predict.studied import Studied
from pdray.report.card.answers import Answer
from pdray.report.card.checklist import card, card_markdown
from pdray.report.case import read_case
from pdray.tracking.leaving import small_cells

_ASKED = {"17": "Consent and ethics", "3b": "Intended use", "27b": "Users"}
"""Items of the model card that whoever gets a model must know."""


def preprocessing(facts: Mapping[str, Any]) -> str:
    """Return how a video becomes the input of the network.

    Args:
        facts: Content of ``settings.json``.
    """
    decode, snippet = facts["decode"], facts["snippet"]
    rate = decode["frame_rate"]
    frames = (
        "Frames stay at the times at which they were recorded."
        if rate is None
        else f"Frames are taken at {rate:g} per second: at j / {rate:g} s, the last frame whose "
        "time is not later by more than 1 ms."
    )
    lines = [
        "# From a video to the input of the network",
        "",
        "`predict.py` does all of this by the files in `pdray/`, which are pdray's own.",
        "",
        "1. **Decode.** The best video stream, one thread. A file that cannot be decoded whole is "
        f"refused. {frames}",
        "2. **Draw.** Each frame is turned as its display matrix says, scaled to fit "
        f"{decode['width']} x {decode['height']} px (width x height) by FFmpeg's AREA filter with "
        "its aspect kept, and centred on black. RGB, 8 bits, full range.",
        f"3. **HDR** (HLG, PQ): {decode['hdr']}. **Interlaced frames**: {decode['interlaced']}.",
        *_motion(facts),
    ]
    lines += _spectrum(facts) if facts["reads"] == "spectrum" else _snippets(facts, snippet)
    return "\n".join([*lines, ""])


def _motion(facts: Mapping[str, Any]) -> list[str]:
    if facts["modality"] == "rgb":
        return []
    flow = facts["flow"]
    bound = flow["bound" if facts["modality"] == "flow" else "boundary_bound"]
    kind = "optical flow" if facts["modality"] == "flow" else "motion boundaries"
    return [
        f"   **Motion.** In place of frames, {kind} of each pair of frames ({flow['method']}), "
        f"clipped to +-{bound:g} and stored as codes 1 to 255, 128 for none."
    ]


def _snippets(facts: Mapping[str, Any], snippet: Mapping[str, Any]) -> list[str]:
    spec = picture_spec(facts["modality"])
    shape = " x ".join(map(str, facts["input_shape"]))
    chosen = ", ".join(f"{key} {value}" for key, value in snippet.items())
    return [
        f"4. **Snippets.** Frames are chosen by `pdray/data/batches/snippet.py` with: {chosen}.",
        f"5. **Input of `network.pt2`**: {shape} uint8 (snippet, frame, height, width, channel), "
        "one snippet at a time. Inside, the network crops the centre to "
        f"{facts['crop'][1]} x {facts['crop'][0]} px and computes (code / {spec.unit} - mean) / "
        f"std of each channel, with mean {list(spec.mean)} and std {list(spec.std)}.",
        f"6. **Output**: 1 x {len(facts['models'])} models x {facts['num_classes']} classes. The "
        "softmax of a row are probabilities. " + _mean(facts),
    ]


def _mean(facts: Mapping[str, Any]) -> str:
    if facts["mean_of"] == "scores":
        return "Scores are averaged over the snippets of a recording before the softmax."
    return "Probabilities are averaged over the snippets of a recording, then over the models."


def _spectrum(facts: Mapping[str, Any]) -> list[str]:
    return [
        f"4. **Input of `network.pt2`**: 1 x {NUM_BANDS} float64: the log power of movement in "
        f"bands of {BAND_HZ:g} Hz up to {HIGHEST_HZ:g} Hz "
        "(`pdray/data/media/movement_spectrum.py`), NaN in bands that the frame rate cannot show.",
        f"5. **Output**: 1 x {len(facts['models'])} models x {facts['num_classes']} classes. The "
        "softmax of a row are probabilities; they are averaged over the models.",
    ]


def model_card(
    studied: Studied, models: Sequence[Model], measured: Attack, answers: Mapping[str, Answer]
) -> str:
    """Return the model card of the study, and what this export tells of people.

    Args:
        studied: The study.
        models: Those that are exported.
        measured: How well the attack on membership works.
        answers: Of the study's owner, by item of the card.
    """
    try:
        case = read_case(studied.study)
        whole = card_markdown(case, card(case, answers))
    except PdrayError:  # its words may name a recording
        whole = (
            f"# Model card of study {studied.name}\n\nThe checklist is missing, since the study "
            "has no report; jobs/report.py says why.\n"
        )
    return f"{whole}\n{_people(studied, models, measured, answers)}"


def _people(
    studied: Studied, models: Sequence[Model], measured: Attack, answers: Mapping[str, Answer]
) -> str:
    least = small_cells(studied.study)
    people = len(frozenset().union(*(one.learnt for one in models)))
    lines = [
        "## This export and the people it learnt from",
        "",
        f"- **Models**: {', '.join(one.name for one in models)}.",
        f"- **People**: learnt from {people if people >= least else f'<{least}'}. No id, digest, "
        "path or file name of theirs is in this folder; weights and coefficients were learnt from "
        "them.",
        "- **Membership attack by the loss** (Yeom et al. 2018), for whoever has a recording and "
        f"its grade: {measured.words(least)}. 0.5 is guessing; near 1, this folder tells who took "
        "part.",
    ]
    for number, topic in _ASKED.items():
        text = answers[number].text if number in answers else ""
        told = " ".join(text.split()) or f"open: nobody answered item {number} of card.yaml"
        lines.append(f"- **{topic}** (item {number}): {told}.".replace("..", "."))
    lines += ["", "For research. This is not a medical device.", ""]
    return "\n".join(lines)
