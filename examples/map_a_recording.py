# %% [markdown]
# # A network by name, on one recording
#
# All data here are **SYNTHETIC**: drawn by a program, nobody was filmed. The networks have random
# weights: give `pretrained` a file to start from. Their maps show how a map is made, and nothing
# about movement; `pdray.explain_recording` maps the winner of a study, which has learnt.

# %%
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch

import pdray

folder = Path("pdray_output/examples").absolute()
drawn = {"num_subjects": 12, "num_visits": 1, "items": ["finger_tapping"], "size": 64}
manifest = pdray.load_manifest(pdray.make_demo(folder / "cohort", drawn))
recording = manifest.recordings[0]

# %% [markdown]
# ## A snippet as a network takes it
# 32 frames, evenly spaced, as (batch, colours, time, height, width).

# %%
size = {"decode.height": 64, "decode.width": 64}
frames = pdray.open_recording(recording, folder, size)
chosen = np.linspace(0, len(frames) - 1, 32).astype(np.int64)
pictures = frames.read(chosen)
snippet = pdray.normalise_frames(torch.from_numpy(pictures)[None])
print(tuple(snippet.shape))

# %% [markdown]
# ## Networks side by side

# %%
print(pdray.list_models()[["kind", "description"]])

torch.manual_seed(0)
for name in ("resnet3d", "tsa"):
    for depth in (10, 18):
        settings = {**size, "model.depth": depth, "model.width_factor": 0.25}
        network = pdray.make_network(name, settings).eval()
        with torch.inference_mode():
            probability = network(snippet).softmax(dim=1)[0, 1]
        count = sum(weights.numel() for weights in network.parameters())
        print(f"{name}-{depth}: {count:,} weights, probability of class 1: {probability:.3f}")

# %% [markdown]
# ## A class activation map
# Grad-CAM of one layer: which places and moments speak for class 1.

# %%
found = pdray.class_activation(network, snippet, lambda logits: logits[:, 1], ["layer1"])["layer1"]
heat = torch.nn.functional.interpolate(found[None], size=pictures.shape[:3], mode="trilinear")[0, 0]

figure, axes = plt.subplots(1, 6, figsize=(12, 2.4))
for axis, moment in zip(
    axes, np.linspace(0, len(pictures) - 1, len(axes)).astype(int), strict=True
):
    axis.imshow(pictures[moment])
    axis.imshow(heat[moment], cmap="inferno", alpha=0.5, vmin=0, vmax=float(heat.max()))
    axis.axis("off")
figure.suptitle("layer1 of an untrained network, SYNTHETIC finger tapping")
figure.savefig(folder / "map.png")
