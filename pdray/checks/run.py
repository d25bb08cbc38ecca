"""Runs the checks of a finished search, and writes and prints what they found."""

import json
import textwrap
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from pkgutil import resolve_name

from pdray.atomic import write_text
from pdray.checks import CHECKS
from pdray.checks.case import Case
from pdray.checks.finding import Finding
from pdray.tracking.run_log import FINDINGS

HEADING = "Checks: "
"""Start of the first line of :func:`findings_text`."""
_WIDTH = 100
_STATES = ("warning", "unknown", "passed", "muted")


def run_checks(
    case: Case, mute: Mapping[str, str], codes: Collection[str] | None = None
) -> tuple[Finding, ...]:
    """Run every check that is not muted.

    Args:
        case: The finished search.
        mute: Reason by code of each check that is not run.
        codes: The checks; None: all of them.

    Returns:
        One finding for each check, in the order of their codes. A check that fails is "unknown"
        and ends nothing: the scores are already there.
    """
    findings = []
    for code, check in sorted(CHECKS.items()):
        if codes is not None and code not in codes:
            continue
        start = time.perf_counter()
        if code in mute:
            finding = Finding(state="muted", found=mute[code])
        else:
            finding = _attempt(check.run, case)
        seconds = time.perf_counter() - start
        findings.append(replace(finding, code=code, title=check.title, seconds=seconds))
    return tuple(findings)


def _attempt(place: str, case: Case) -> Finding:
    try:
        finding: Finding = resolve_name(place)(case)
    except Exception as error:  # noqa: BLE001 - the study is complete, whatever a check meets
        # Its text may hold a path or a name.
        return Finding(
            state="unknown",
            found=f"the check ended with {type(error).__name__}",
            advice="please report this with the version of pdray",
        )
    return finding


def write_findings(folder: Path, findings: Sequence[Finding]) -> None:
    """Write ``checks.json`` into a study's folder."""
    plain = [asdict(one) | {"seconds": round(one.seconds, 3)} for one in findings]
    for one in plain:
        one["numbers"] = {  # JSON has no nan
            name: number if number == number else None for name, number in one["numbers"].items()
        }
    write_text(folder / FINDINGS, json.dumps(plain, indent=1) + "\n")


def read_findings(folder: Path) -> tuple[Finding, ...]:
    """Return the findings in a study's folder; none if its checks were not run."""
    try:
        plain = json.loads((folder / FINDINGS).read_text(encoding="utf-8"))
        return tuple(Finding(**one) for one in plain)
    except (OSError, ValueError, TypeError):
        return ()


def findings_text(findings: Sequence[Finding]) -> str:
    """Return the findings as text: warnings in full, the others in one sentence each.

    Without findings, which a study of an earlier version has none of, the text is empty.
    """
    if not findings:
        return ""
    states = [one.state for one in findings]
    counts = [f"{states.count(state)} {state}" for state in _STATES if state in states]
    ordered = sorted(findings, key=lambda one: _STATES.index(one.state))
    lines = [f"{HEADING}{', '.join(counts)}"]
    return "\n".join([*lines, *(line for one in ordered for line in _lines(one))])


def _lines(one: Finding) -> Iterator[str]:
    head = f"{one.code} {one.state} ({one.title})"
    if one.state != "warning":
        told = f"{head}: {one.found}"
        yield from textwrap.wrap(told, _WIDTH, subsequent_indent="  ", break_on_hyphens=False)
        return
    yield head
    parts = {"looked at": one.looked_at, "found": one.found, "sure": one.sure, "do": one.advice}
    for name, text in parts.items():
        yield from textwrap.wrap(
            f"{name}: {text}",
            _WIDTH,
            initial_indent="  ",
            subsequent_indent="    ",
            break_on_hyphens=False,
        )
