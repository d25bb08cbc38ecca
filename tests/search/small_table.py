"""A table of a paper, small."""

from typing import Any

SMALL: dict[str, Any] = {
    "title": "a table",
    "metrics": ["accuracy", "f1_macro"],
    "items": ["finger_tapping"],
    "settings": {
        "decode": {"height": 32, "width": 32},
        "snippet": {"num_frames": 16},
        "model": {"depth": 10, "temporal_stride": "221111"},
        "optim": {"epochs": 7},
    },
    "synthetic": {"optim": {"epochs": 2}},
    "runs": {
        "one": {"model.attention_depth": 1},
        "two": {"model.attention_depth": 0, "pretrained": "weights.actions"},
    },
    "synthetic_runs": {"one": {"model.dropout": 0.5}},
    "rows": {"One": {"": ["one"]}, "Both": {"": ["one", "two"]}},
}
