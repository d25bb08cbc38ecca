# %% [markdown]
# # Run a small study, and read its results
#
# All data here are **SYNTHETIC**: drawn by a program, nobody was filmed. The study is so small that
# it ends within two minutes; its scores show that the software works, and nothing about a disease.

# %%
from pathlib import Path

import matplotlib.pyplot as plt

import pdray

folder = Path("pdray_output/examples").absolute()
drawn = {"num_subjects": 24, "num_visits": 1, "items": ["finger_tapping"], "size": 64}
manifest = pdray.make_demo(folder / "study_cohort", drawn)

# %% [markdown]
# ## Search
# The keys are those of `jobs/tune_tsa.py`; the first argument of `run_study` may name a YAML file
# with such keys. A study of the same name is continued, and read when it is complete.

# %%
space = {
    "optim.learning_rate": {"low": 1.0e-3, "high": 5.0e-3, "log": True},
    "model.attention_depth": {"choices": [1, 2]},
}
settings = {
    "data.manifest": manifest,
    "output": folder,
    "search": {"name": "example", "trials": 2},
    "folds": {"num_outer": 3, "num_folds": 2},
    "decode": {"height": 48, "width": 48},
    "model": {"depth": 10, "width_factor": 0.25, "temporal_stride": "211111", "num_heads": 2},
    "loss": {"gamma": 0.0},
    "optim": {"optimizer": "adamw", "batch_size": 8, "epochs": 10, "schedule": "cosine"},
    "space": space,
}
study = pdray.run_study(None, settings)

# %% [markdown]
# ## Results as data frames

# %%
shown = ["trial", "split", "fold", "metric", "value", "low", "high", "num_subjects"]
print(study)
print(study.trials()[["state", "value", *space]].round(4))
print(study.scores()[shown].round(3))  # each fold of each trial
print(study.report)

# %% [markdown]
# The test set has few subjects, so the intervals are wide. They come from drawing *subjects*
# again and again, since recordings of one person are not independent.

# %%
predictions = study.predictions()
test = predictions[predictions["split"] == "test"]
print(pdray.score_predictions(test, ["mcc", "auroc", "accuracy"])[shown[3:]].round(3))

# %%
curves = (
    study.epochs()
    .query("split == 'val'")
    .pivot_table(index="epoch", columns=["trial", "fold"], values="val/mcc")
)
axis = curves.plot(title="validation MCC, SYNTHETIC data", marker="o")
axis.set_ylabel("MCC")
plt.savefig(folder / "curves.png")
