from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from pdray.data.batches.settings import SnippetConfig
from pdray.data.media.decode import decode_frames
from pdray.data.media.flow import flow_codes, motion
from pdray.data.media.settings import DecodeConfig, DecodeLimits, FlowConfig
from pdray.export import reading


def test_motion_is_computed_once_and_its_pairs_are_those_of_the_frames(
    write_video: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    frames = np.random.default_rng(0).integers(0, 256, (8, 32, 32, 3), np.uint8)
    video = write_video("a.mp4", frames, fps=20)
    facts = SimpleNamespace(
        modality="flow",
        reads="snippets",
        decode=DecodeConfig(height=32, width=32),
        limits=DecodeLimits(),
        flow=FlowConfig(method="dis"),
        snippet=SnippetConfig(num_frames=7),
        training=SimpleNamespace(),
    )
    fields = motion(decode_frames(video, facts.decode, facts.limits), facts.flow)
    expected = [picture for _, picture in flow_codes(fields, facts.flow)]
    calls = []

    def counted(*args: object) -> object:
        calls.append(1)
        return motion(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(reading, "motion", counted)
    pictures, _ = reading.describe(video, facts)
    assert len(calls) == 1
    np.testing.assert_array_equal(pictures, np.stack(expected)[None])
