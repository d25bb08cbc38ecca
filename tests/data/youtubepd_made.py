"""SYNTHETIC content in YouTubePD's two layouts: four made-up clips that show nobody."""

import csv
import hashlib
import json
import pickle

import numpy as np

from pdray.data.face_points import LANDMARKS, REGIONS, VERTICES

CLIPS = {"video3": (10, "test"), "video7": (0, "train"), "video20": (1, "train"),
         "video136": (0, "test")}  # fmt: skip
TURNS = (1, 1, 1, -1, 1, 1, -1, -1, 1, -1, 1, -1, -1, 1)
MARKS = ["6/12, 11, 9, 8", "12/12,0,2,1", "0/12, all_regions, 7, 3", "6/12,11,9,8"]
STRANGE_MARKS = ["3/9,13,10,10"]  # of a clip without a label


def polygons(num_frames, rng):
    """Return (N, 58, 2) polygons, each on a circle, that run the way the benchmark's do."""
    corners = []
    for size, turn in zip(VERTICES, TURNS, strict=True):
        angles = turn * 2 * np.pi * np.arange(size) / size
        centre = rng.uniform(20, 230, (num_frames, 1, 2))
        circle = np.stack([np.cos(angles), np.sin(angles)], axis=1)
        corners.append(centre + rng.uniform(4, 12) * circle)
    return np.concatenate(corners, axis=1)


class Made:
    """What both layouts hold; a test changes it before it is written."""

    def __init__(self):
        rng = np.random.default_rng(5)
        self.clips = {name: [label, split] for name, (label, split) in CLIPS.items()}
        self.numbers = {name: np.arange(1, 6) for name in CLIPS}
        self.numbers["video7"] = np.array([1, 2, 5])
        self.landmarks = {
            name: rng.integers(30, 220, (len(self.numbers[name]), 106, 2)) for name in CLIPS
        }
        self.regions = {name: polygons(10, rng).astype(np.float32) for name in CLIPS}
        self.cells = {name: {} for name in CLIPS}  # of clips.csv, in place of what follows
        self.marks = {"video3": list(MARKS), "video150": list(STRANGE_MARKS)}

    def write_pack(self, folder, *, sums=True):
        """Write a pack and return its folder."""
        folder.mkdir(parents=True, exist_ok=True)
        write_csv(folder / "clips.csv", [self.clip_row(name) for name in self.clips])
        write_csv(folder / "region_annotations.csv", self.mark_rows())
        numbers = {f"{name}__frame_index": n.astype(np.int16) for name, n in self.numbers.items()}
        points = {name: array.astype(np.int16) for name, array in self.landmarks.items()}
        np.savez_compressed(folder / "landmarks.npz", **points, **numbers)
        np.savez_compressed(folder / "regions.npz", **self.regions)
        about = {"names": list(REGIONS), "vertices": VERTICES.tolist()}
        (folder / "region_names.json").write_text(json.dumps(about))
        (folder / "landmark_names.json").write_text(json.dumps({"names": list(LANDMARKS)}))
        if sums:
            write_sums(folder)
        return folder

    def clip_row(self, name):
        label, split = self.clips[name]
        numbers = self.numbers.get(name, [])
        return {
            "clip_id": name,
            "label_0_10": label,
            "severity_0_5": -(-label // 2),
            "pd": int(label > 0),
            "split": split,
            "split_june2023": "",
            "collection_batch": "A" if int(name[5:]) < 134 else "B",
            "subject_id": "",
            "has_landmarks": int(name in self.landmarks),
            "has_regions": int(name in self.regions),
            "has_region_annotations": int(name in self.marks),
            "n_frames_landmarks": len(numbers),
            "n_missing_landmark_frames": max(numbers, default=0) - len(numbers),
            "n_frames_regions": len(self.regions.get(name, [])),
            "upstream_csv_rows": 1 + (name == "video136"),
            **self.cells.get(name, {}),
        }

    def mark_rows(self):
        rows, seen = [], set()
        for clip, texts in self.marks.items():
            for text in texts:
                moment, region, severity, confidence = (part.strip() for part in text.split(","))
                said = (clip, moment, region, severity, confidence)
                rows.append(
                    {
                        "clip_id": clip,
                        "annotated_frame": moment.split("/")[0],
                        "total_frames": moment.split("/")[1],
                        "region_index": region if region.isdigit() else "",
                        "severity": severity,
                        "confidence": confidence,
                        "severity_0_5": -(-int(severity) // 2),
                        "clip_in_pack": int(clip in self.clips),
                        "exact_duplicate": int(said in seen),
                        "note": "" if region.isdigit() else f"incomplete: {text!a}",
                    }
                )
                seen.add(said)
        return rows

    def write_release(self, folder):
        """Write both checkouts and return their folders."""
        release, more = folder / "YouTubePD-data", folder / "Additional_Modalities"
        (release / "bbox_coords").mkdir(parents=True)
        for split in ("train", "test"):
            own = [(name, label) for name, (label, s) in self.clips.items() if s == split]
            lines = [f"PATHTOVIDEOS/{name}_final.mp4 {label}\n" for name, label in own]
            again = lines[-1:] if split == "test" else []  # video136 is listed twice
            (release / f"{split}.csv").write_text("".join(lines + again))
        marks = {name: [*texts, "", " "] for name, texts in self.marks.items()}
        write_pickle(release / "region_video_annotations.pkl", marks)
        for name, points in self.regions.items():
            frames = {f"frame{n}": nested(frame) for n, frame in enumerate(points)}
            write_pickle(release / "bbox_coords" / f"{name}_kpts", {f"{name}.mp4": frames})
        for name, points in self.landmarks.items():
            for number, frame in zip(self.numbers[name], points, strict=True):
                face = {
                    mark: {"y": int(y), "x": int(x)}
                    for mark, (x, y) in zip(LANDMARKS, frame, strict=True)
                }
                write_pickle(more / "Landmarks" / name / f"{number}.pickle", face)
        return release, more


def nested(frame):
    """Return one frame's polygons as the owners' script leaves them: x, y and a constant."""
    ends = np.cumsum(VERTICES)
    rows = [[np.float64(x), np.float64(y), 0.9] for x, y in frame.tolist()]
    return [rows[end - size : end] for size, end in zip(VERTICES, ends, strict=True)]


def write_csv(path, rows):
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def write_pickle(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(content, 4))


def write_sums(folder):
    """Write SHA256SUMS of everything in a folder."""
    lines = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(folder).as_posix()}\n"
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "SHA256SUMS"
    ]
    (folder / "SHA256SUMS").write_text("".join(lines))
