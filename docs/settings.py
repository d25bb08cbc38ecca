"""Write the page of all settings: ``python -m docs.settings``; a test compares it with the code."""

from collections.abc import Iterable
from pathlib import Path

from pydantic.fields import FieldInfo

import pdray.predict.settings
from jobs.make_demo import MakeDemoConfig
from jobs.submit import SubmitConfig
from jobs.sync_tracking import SyncConfig
from pdray.config import Settings, leaves, plain_default, written
from pdray.doctor.settings import DoctorConfig
from pdray.explain.settings import ExplainConfig
from pdray.export.settings import ExportConfig
from pdray.head.settings import HeadConfig
from pdray.importers.actions.settings import ImportConfig as ImportActionsConfig
from pdray.importers.features.settings import ImportConfig as ImportFeaturesConfig
from pdray.importers.mediapipe.settings import ExtractConfig
from pdray.importers.sheets.settings import MakeManifestConfig
from pdray.importers.youtubepd.settings import ImportConfig as ImportYouTubePDConfig
from pdray.papers.settings import MarksConfig, ReproduceConfig
from pdray.predict.intensity_settings import ExtractIntensitiesConfig
from pdray.report.settings import ReportStudyConfig
from pdray.search.compare_settings import CompareStudiesConfig
from pdray.search.evaluate_settings import EvaluateConfig
from pdray.search.quick_settings import QuickLookConfig
from pdray.search.settings import DescribeConfig, PrepareConfig, StudyConfig
from pdray.synthesis.settings import SynthesizeConfig
from pdray.visits.settings import AssembleConfig
from pdray.withdraw.settings import WithdrawConfig

PAGE = Path(__file__).with_name("reference") / "settings.md"
ROOTS: dict[str, type[Settings]] = {
    "compare": CompareStudiesConfig,
    "describe": DescribeConfig,
    "doctor": DoctorConfig,
    "evaluate": EvaluateConfig,
    "prepare": PrepareConfig,
    "reproduce": ReproduceConfig,
    "assemble_patients": AssembleConfig,
    "correlate_marks": MarksConfig,
    "explain": ExplainConfig,
    "predict": pdray.predict.settings.PredictConfig,
    "withdraw": WithdrawConfig,
    "export": ExportConfig,
    "extract_landmarks": ExtractConfig,
    "extract_intensities": ExtractIntensitiesConfig,
    "import_youtubepd": ImportYouTubePDConfig,
    "import_actions": ImportActionsConfig,
    "import_features": ImportFeaturesConfig,
    "make_demo": MakeDemoConfig,
    "make_manifest": MakeManifestConfig,
    "quick_look": QuickLookConfig,
    "report": ReportStudyConfig,
    "sync_tracking": SyncConfig,
    "synthesize": SynthesizeConfig,
    "start_head": HeadConfig,
    "stop_head": HeadConfig,
    "submit": SubmitConfig,
}
HEADER = """# Settings

This page is made from the settings classes by `python -m docs.settings`; a test compares them.
Give a setting as `key=value` on the command line, or in a YAML file with `--config FILE`; a later
source wins. Units stand in square brackets. Names of models in parentheses say that only these
models have the setting. Words that you do not know stand in the [glossary](glossary.md).

Papers: YouTubePD (Zhou et al. 2023), TSA (Yin et al.), the hypomimia abstract (WSSFN 2025), the
motion boundary paper.

## Settings of a search

Jobs: `tune_tsa`, `tune_motion_boundary`, `tune_region_attention`, `tune_fusion` and
`tune_expressions`. All but the first start from a file in `search_spaces/`, whose values take the
place of these defaults.
"""
Rows = dict[str, tuple[str, str]]


def page() -> str:
    """Return the page."""
    study = _rows(leaves(StudyConfig))
    parts = [HEADER]
    for section in dict.fromkeys(map(_section, study)):
        chosen = {key: row for key, row in study.items() if _section(key) == section}
        parts.append(f"### {section or 'Keys without a section'}\n\n{_table(chosen)}\n")
    for job, root in ROOTS.items():
        rows = _rows(leaves(root))
        own = {key: row for key, row in rows.items() if study.get(key) != row}
        shared = sorted({key.partition(".")[0] for key in rows.keys() - own.keys()})
        names = ", ".join(f"`{name}`" for name in shared)
        as_above = f"\nWith the same meaning and default as in a search: {names}.\n"
        parts.append(f"## Settings of {job}\n\n{_table(own)}\n{as_above if shared else ''}")
    return "\n".join(parts)


def _section(key: str) -> str:
    return key.partition(".")[0] if "." in key else ""


def _rows(found: Iterable[tuple[str, FieldInfo]]) -> Rows:
    """Return the default and the meaning of each key."""
    return {
        key: (
            "required" if field.is_required() else f"`{written(plain_default(field))}`",
            field.description or "",
        )
        for key, field in found
    }


def _table(rows: Rows) -> str:
    lines = ["| key | default | meaning |", "|---|---|---|"]
    for key, (default, meaning) in rows.items():
        text = meaning.replace("|", "\\|").replace("<", "\\<").replace("*", "\\*")
        lines.append(f"| `{key}` | {default} | {text} |")
    return "\n".join(lines)


if __name__ == "__main__":
    PAGE.write_text(page())
