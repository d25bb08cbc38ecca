from pathlib import Path

import pytest

from pdray.importers.features.importing import import_features
from pdray.importers.features.settings import ImportConfig
from pdray.importers.youtubepd.importing import import_youtubepd
from pdray.importers.youtubepd.settings import ImportConfig as ClipsConfig
from pdray.papers.plan import plan_reproduction

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT.parent / "shared" / "data"
TABLES = ROOT / "search_spaces" / "tables"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("table", "pack", "words"),
    [
        ("ufnet.fusion", "ufnet_smile_speech", []),
        (
            "youtubepd.fusion",
            "youtubepd_modalities",
            ["data.grade_cuts=[1]", "folds.from_split=false"],
        ),
    ],
)
def test_no_run_of_a_table_on_its_pack_is_left_out(
    tmp_path: Path, table: str, pack: str, words: list[str]
) -> None:
    if not (DATA / pack).is_dir():
        pytest.skip(f"needs {pack} in shared data")
    given = {"layout": table.partition(".")[0], "folder": DATA / pack, "output": tmp_path / "f.csv"}
    if pack == "youtubepd_modalities":
        given["manifest"] = tmp_path / "clips.csv"
        clips = {"layout": "pack", "folder": DATA / "youtubepd", "output": given["manifest"]}
        import_youtubepd(ClipsConfig(**clips))
    import_features(ImportConfig(**given))
    asked = ["--config", str(tmp_path / "f.data.yaml"), f"output={tmp_path / 'o'}", *words]
    planned = plan_reproduction(TABLES / f"{table}.yaml", asked)
    for plan in planned.plans.values():
        assert list(plan.fixed) == list(planned.table.runs)
