"""Folders that tests read: the checkout, and the data beside it that only some machines have."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"
YOUTUBEPD = SHARED / "data" / "youtubepd"
FIELD = SHARED / "cases" / "field"
CLIPS = SHARED / "data" / "clips"
WEIGHTS = SHARED / "weights"
