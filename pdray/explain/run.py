"""Explains the winner of a study on test recordings: videos, tables and plots.

    <output>/videos/<number>.mp4        the recording with the maps over it: shows the person
    <output>/regions_by_frame.parquet   one row per recording, layer, frame and region
    <output>/regions.csv                the same over time
    <output>/spread.csv                 spread of the maps, one row per recording and layer
    <output>/attention/<number>.png     which moments attend to which, block by block
    <output>/attention.csv              its concentration, one row per recording and block
    <output>/attention_over_time.csv    attention that each moment gets, one row per recording,
                                        block and moment
    <output>/embedding.csv, .png        where all test recordings lie among the network's features,
                                        and the severity that is read out of these
    <output>/report.txt                 spread by class, first regions, attention, separation,
                                        rank correlation with severity

Attention is written where a block of the mapped layers attends over time. The network under a
linear probe is frozen and knows nothing of the classes, and one on regions is given them beside
pictures: these have no maps, and their features alone are placed. Nothing of it goes to tracking.
Videos and pictures carry the running numbers of ``<study>/private``, tables the manifest's ids.
Videos of people need their consent. Recordings are seen as the winner was tested on them; the class
of interest is the predicted one, by the mean probability of a recording's snippets, or the asked
one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from pdray.atomic import replacing, write_text
from pdray.command import Say
from pdray.config import require_writable
from pdray.data.cohort.manifest import Recording
from pdray.data.cohort.settings import SYNTHETIC_MARK
from pdray.errors import SettingsError, refuse
from pdray.explain.activation import map_layers
from pdray.explain.attention import (
    Attending,
    attention_blocks,
    attention_maps,
    attention_numbers,
    attention_picture,
    attention_table,
    layer_of,
    moments,
    received_table,
)
from pdray.explain.held_out import HeldOut, Seen, choose, may_be_shown, open_held_out, see
from pdray.explain.overlay import Overlay, write_overlay
from pdray.explain.place import no_maps, place
from pdray.explain.recording import check_class, map_recording, snippet_parts
from pdray.explain.settings import ExplainConfig
from pdray.explain.spread import (
    region_shares,
    regions_text,
    shares_by_frame,
    shares_over_time,
    spread,
    spread_table,
)
from pdray.tracking.numbering import number_recordings

_CPU = torch.device("cpu")
_SUFFIXES = {"videos": ".mp4", "attention": ".png"}


@dataclass(frozen=True)
class Explanation:
    """Results of the job.

    Attributes:
        folder: Folder of all files.
        videos: Files that show people.
        report: Spread by class, regions with most activation, and separation, as text.
        synthetic: Whether the cohort is SYNTHETIC.
    """

    folder: Path
    videos: tuple[Path, ...]
    report: str
    synthetic: bool


Tables = dict[str, pd.DataFrame]
"""Tables of one recording, of all its layers, by the name of their file."""


def explain(config: ExplainConfig, say: Say, *, device: torch.device = _CPU) -> Explanation:
    """Write maps, tables and plots of the test recordings of a study.

    Args:
        config: Checked settings.
        say: Prints a line of progress.
        device: Device of the network.

    Returns:
        The report and where the files are.

    Raises:
        PdrayError: If the study, a recording, a layer or the class cannot be used, or the output
            cannot be written.
    """
    _check_output(config)
    held = open_held_out(config.study)
    if not held.config.entry.has_maps:
        return _place_alone(config, held, say)
    rows = choose(held, config.recordings)
    layers = map_layers(held.network, config.layers)
    check_class(held, config.shown_class)
    held.network.to(device)
    say(f"recordings {len(rows)} of {len(held.rows)} test recordings, none used in training")
    say(f"layers     {', '.join(layers)}")
    blocks = attention_blocks(held.network, layers)
    if blocks:
        say(f"attention  over time in {len(blocks)} blocks: {', '.join(blocks)}")
    mapped: list[Tables] = []
    numbers = number_recordings(
        held.studied.study, {row.recording_id: row.subject_id for row in rows}
    )
    filmed = _filmed(held, rows, config, say)
    for number, row in enumerate(rows, start=1):
        seen = see(held, row, pictures=row.recording_id in filmed)
        mapped.append(_map(held, seen, layers, config, numbers[row.recording_id]))
        if number == len(rows) or number % max(1, len(rows) // 10) == 0:
            say(f"mapped     {number}/{len(rows)}")
    videos = [
        _path(config, "videos", numbers[row.recording_id])
        for row in rows
        if row.recording_id in filmed
    ]
    mapped_class = "the predicted class"
    if config.shown_class is not None:
        mapped_class = f"class {config.shown_class}"
    tables = _write_tables(mapped, config.output)
    report = [
        spread_table(tables["spread"], shown=mapped_class),
        regions_text(tables["regions"], shown=mapped_class),
        *([attention_table(tables["attention"])] if blocks else []),
        place(held, config.output, device),
    ]
    text = _write_report(held, config.output, report)
    return Explanation(config.output, tuple(videos), text, held.synthetic)


def _filmed(
    held: HeldOut, rows: Sequence[Recording], config: ExplainConfig, say: Say
) -> frozenset[str]:
    """Return the recordings of which videos are written; say how many there are not, and why."""
    if not config.videos:
        return frozenset()
    filmed = may_be_shown(held, rows, show_people=config.show_people)
    if left := len(rows) - len(filmed):
        why = (
            "consent_pictures is not yes in every row of the people in them"
            if config.show_people
            else "they show people; for those who agreed, fill the column consent_pictures of the "
            "manifest and set show_people=true"
        )
        say(f"videos     of {left} of {len(rows)} recordings are left out: {why}")
    return filmed


def _place_alone(config: ExplainConfig, held: HeldOut, say: Say) -> Explanation:
    """Plot the test recordings of a winner without maps: a linear probe, or one on regions."""
    why, what = no_maps(held.config)
    asked = ("recordings", "layers", "shown_class")
    idle = [key for key in asked if getattr(config, key) is not None]
    refuse(
        [f"{key}: there are no maps: {why}; leave it out" for key in idle],
        SettingsError,
        "settings",
    )
    say(f"maps       none: {why}")
    say(f"recordings {len(held.rows)} test recordings, shown by their features")
    text = _write_report(
        held, config.output, [f"{what}; no maps", place(held, config.output, _CPU)]
    )
    return Explanation(config.output, (), text, held.synthetic)


def _map(
    held: HeldOut, seen: Seen, layers: Sequence[str], config: ExplainConfig, number: str
) -> Tables:
    """Tabulate a recording's maps and attention, and draw them under its running number."""
    mapped = map_recording(held, seen, layers, config.shown_class)
    recording, shown = seen.recording, mapped.shown_class
    chance = float(mapped.probabilities[shown])
    facts = {
        "recording_id": recording.recording_id,
        "subject_id": recording.subject_id,
        "item": recording.item,
        "target": recording.target,
        "predicted": mapped.predicted,
        "shown_class": shown,
        "probability": chance,
        "synthetic": held.synthetic,
    }
    caption = (
        f"{number}: class {recording.target}, predicted {mapped.predicted}, "
        f"shown {shown} (p={chance:.2f})"
    )
    if seen.pictures is not None:
        drawn = (seen.pictures, seen.seconds, mapped.maps, seen.regions)
        overlay = Overlay(*drawn, caption=caption, synthetic=held.synthetic)
        write_overlay(_path(config, "videos", number), overlay)
    blocks = _attention(held, seen, mapped.maps)
    if blocks:
        picture = _path(config, "attention", number)
        attention_picture(picture, blocks, caption=caption, synthetic=held.synthetic)
    return _tables(facts, seen, mapped.maps, blocks)


def _attention(
    held: HeldOut, seen: Seen, activations: Mapping[str, NDArray[np.float32]]
) -> dict[str, Attending]:
    """Return the attention over time of each block, with the activation of its layer."""
    parts = snippet_parts(held, seen)
    times = seen.seconds[np.searchsorted(seen.frames, seen.indices)]
    maps = attention_maps(held.network, parts, attention_blocks(held.network, [*activations]))
    sums = {name: one.sum(axis=(1, 2), dtype=np.float64) for name, one in activations.items()}
    return {
        block: Attending(
            attention=attention,
            seconds=moments(times, attention.weights.shape[1]),
            frames=seen.seconds,
            activity=sums[layer_of(block, sums)],
        )
        for block, attention in maps.items()
    }


def _tables(
    facts: dict[str, Any],
    seen: Seen,
    activations: Mapping[str, NDArray[np.float32]],
    blocks: Mapping[str, Attending],
) -> Tables:
    found: dict[str, list[pd.DataFrame]] = {}

    def add(file: str, layer: str, table: pd.DataFrame) -> None:
        left = {name: [value] * len(table) for name, value in {**facts, "layer": layer}.items()}
        found.setdefault(file, []).append(pd.concat([pd.DataFrame(left), table], axis=1))

    for name, activation in activations.items():
        shares = region_shares(activation, seen.regions)
        each = shares_by_frame(shares)
        position = each.pop("position").to_numpy()
        each.insert(0, "frame", seen.frames[position])
        each.insert(1, "seconds", seen.seconds[position])
        add("regions_by_frame", name, each)
        add("regions", name, shares_over_time(shares))
        numbers = {**spread(activation, shares), "num_frames": len(activation)}
        add("spread", name, pd.DataFrame([numbers]))
    for name, one in blocks.items():
        add("attention", name, pd.DataFrame([attention_numbers(one.attention, one.seconds)]))
        add("attention_over_time", name, received_table(one.attention, one.seconds))
    return {file: pd.concat(some, ignore_index=True) for file, some in found.items()}


def _write_tables(mapped: Sequence[Tables], folder: Path) -> Tables:
    """Write the tables of all recordings; return them."""
    tables = {
        file: pd.concat([one[file] for one in mapped], ignore_index=True) for file in mapped[0]
    }
    for file, table in tables.items():
        if file == "regions_by_frame":
            with replacing(folder / f"{file}.parquet") as temporary:
                table.to_parquet(temporary, index=False)
        else:
            write_text(folder / f"{file}.csv", table.to_csv(index=False))
    return tables


def _write_report(held: HeldOut, folder: Path, report: Sequence[str]) -> str:
    marked = [SYNTHETIC_MARK, *report] if held.synthetic else report
    text = "\n\n".join(marked)
    write_text(folder / "report.txt", f"{text}\n")
    return text


def _check_output(config: ExplainConfig) -> None:
    study, output = config.study.resolve(), config.output.resolve()
    if study == output or study in output.parents:
        raise SettingsError(
            f"output: got {output}, inside the study's folder, which may be shared; these files "
            "show people, so choose another folder"
        )
    require_writable(config.output, key="output")


def _path(config: ExplainConfig, kind: str, number: str) -> Path:
    """Return the path of a recording's video or picture."""
    return config.output / kind / f"{number}{_SUFFIXES[kind]}"
