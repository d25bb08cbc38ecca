# %% [markdown]
# # Look at a cohort, and split its subjects
#
# All data here are **SYNTHETIC**: drawn by a program, nobody was filmed. With your own recordings,
# give `load_manifest` the path of your manifest and leave `make_demo` out.

# %%
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import pdray

folder = Path("pdray_output/examples").absolute()
drawn = {"num_subjects": 12, "num_visits": 1, "items": ["finger_tapping"], "size": 64}
manifest = pdray.load_manifest(pdray.make_demo(folder / "cohort", drawn))

# %% [markdown]
# ## The recordings as a data frame
# One row per recording. An empty cell of the manifest is `<NA>`, never zero.

# %%
recordings = manifest.table()
print(recordings[["recording_id", "subject_id", "side", "grade", "age", "site"]].head())
print(recordings.groupby("grade")["subject_id"].agg(recordings="size", subjects="nunique"))

# %% [markdown]
# ## Folds of subjects
# Both hands of a person are always on the same side of a split. `grade_cuts` makes two classes of
# the grades: {0, 1} and {2, 3, 4}. Fold -1 is the test set, on which a search is scored once.

# %%
cohort = pdray.split_subjects(
    manifest, {"data.grade_cuts": [2], "folds.num_outer": 4, "folds.num_folds": 2}
)
split = cohort.table()
print(split.groupby(["fold", "target"]).size().unstack(fill_value=0))
print("subjects in the test set:", ", ".join(sorted(cohort.folds.test)))
for note in cohort.notes:
    print("note:", note)
assert split.groupby("subject_id")["fold"].nunique().eq(1).all()

# %% [markdown]
# ## One recording
# It is decoded once; afterwards any frame is read at random.

# %%
recording = manifest.recordings[0]
frames = pdray.open_recording(recording, folder, {"decode.height": 64, "decode.width": 64})
print(f"{recording.recording_id}: {len(frames)} frames, the last at {frames.seconds[-1]:.2f} s")

figure, axes = plt.subplots(1, 6, figsize=(12, 2.4))
shown = np.linspace(0, len(frames) - 1, len(axes)).astype(np.int64)
for axis, number, picture in zip(axes, shown, frames.read(shown), strict=True):
    axis.imshow(picture)
    axis.set_title(f"{frames.seconds[number]:.2f} s")
    axis.axis("off")
figure.suptitle(f"SYNTHETIC finger tapping, grade {recording.grade}")
figure.savefig(folder / "frames.png")
