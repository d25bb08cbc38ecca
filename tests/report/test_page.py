"""The page answers eight questions, asks nothing of any machine, and shows each name as text."""

import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pdray.errors import StudyError
from pdray.report.make import make_report
from pdray.report.page import HEADINGS, Parts, page
from pdray.report.results import results_of
from tests.report.checker import numbers_in
from tests.report.fixture import make_study

HOSTILE = "<script>alert('x')</script>\"&lt;{{ 7 * 7 }} Gr\u00f6\u00dfe \u5317"
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
VOID = {"meta", "br", "path", "use", "rect", "circle", "line", "link"}


class Reader(HTMLParser):
    """Collects tags, attributes and text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.headings: list[str] = []
        self.words = ""
        self._open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag  # every element is closed, in its order

    def handle_data(self, data: str) -> None:
        if "style" in self._open:
            return
        if self._open[-1:] == ["h2"]:
            self.headings.append(data)
        if "svg" not in self._open:
            self.words += data + " "


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the page of a study with two raters, two states, and names that are hostile."""
    return make_report(
        make_study(
            tmp_path_factory.mktemp("made"),
            classes=5, raters=2, states=True, people=40, item=HOSTILE, sites=(HOSTILE, "b\"'>"),
        )
    )  # fmt: skip


def test_eight_questions_are_answered_under_headings(made: Path) -> None:
    seen = Reader(made.read_text(encoding="utf-8"))
    assert seen.headings == [*HEADINGS.values()]
    assert seen.headings[:8] == [
        "Which leaks were looked for?", "Which cohort?", "Which protocol?",
        "What does the number mean?", "How uncertain is it?", "Against what baseline?",
        "Which errors?", "What must it not be used for?",
    ]  # fmt: skip
    targets = {attrs.get("id") for _, attrs in seen.tags}
    links = [attrs["href"] for tag, attrs in seen.tags if tag == "a"]
    assert [link for link in links if (link or "")[1:] not in targets] == []


def test_no_name_becomes_markup(made: Path) -> None:
    seen = Reader(made.read_text(encoding="utf-8"))
    assert "script" not in {tag for tag, _ in seen.tags}
    assert HOSTILE in seen.words
    assert "49" not in re.findall(r"\{\{.*?Gr", seen.words)
    assert [name for _, attrs in seen.tags for name in attrs if name.startswith("on")] == []


def test_nothing_is_asked_of_another_machine(made: Path) -> None:
    text = made.read_text(encoding="utf-8")
    seen = Reader(text)
    for tag, attrs in seen.tags:
        for name in ("src", "href", "xlink:href", "data", "action", "srcset", "poster"):
            assert (attrs.get(name) or "#").startswith(("#", "data:")), (tag, attrs)
    assert re.findall(r"url\((?!#|[\"']?data:)|@import", text) == []
    assert made.stat().st_size <= 1.5e6


def test_a_screen_reader_and_a_phone_get_what_they_need(made: Path) -> None:
    seen = Reader(made.read_text(encoding="utf-8"))
    by_tag: dict[str, list[dict[str, str | None]]] = {}
    for tag, attrs in seen.tags:
        by_tag.setdefault(tag, []).append(attrs)
    assert by_tag["html"] == [{"lang": "en"}]
    assert "width=device-width" in str(by_tag["meta"])
    assert len(by_tag["svg"]) > 4
    assert all(one.get("role") == "img" and one.get("aria-label") for one in by_tag["svg"])
    assert all(one.get("scope") in ("col", "row") for one in by_tag["th"])
    assert len(by_tag["h1"]) == len(by_tag["main"]) == 1


def test_every_number_of_the_page_is_in_its_results(tmp_path: Path) -> None:
    study = make_study(tmp_path, protocol="nested")
    text = make_report(study).read_text(encoding="utf-8")
    words, _, _ = Reader(text).words.partition("Methods, to paste")
    known = {f"{abs(value):.3f}" for _, value in numbers_in(_results(study))}
    shown = set(re.findall(r"(?<![\d.])\d+\.\d{3}(?!\d)", words))
    assert len(shown) > 20
    assert shown - known == set()


def test_a_report_tells_nobody_s_id_and_no_path(tmp_path: Path) -> None:
    study = make_study(tmp_path, raters=2, states=True)
    folder = make_report(study).parent
    texts = [file for file in folder.rglob("*") if file.suffix in (".html", ".json", ".csv", ".md",
             ".txt")]  # fmt: skip
    assert {file.name for file in texts} >= {"report.html", "results.json", "scores.csv"}
    for file in texts:
        text = file.read_text(encoding="utf-8")
        assert re.findall(r"S\d\d_|\bS\d\d\b|2024-01-31|secret|Jane", text) == [], file.name


def test_a_faulty_card_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    study = make_study(tmp_path)
    folder = make_report(study).parent
    before = {file: file.stat().st_mtime_ns for file in folder.rglob("*")}
    (study.folder / "card.yaml").write_text('5z: "x"\n', encoding="utf-8")
    with pytest.raises(StudyError, match="there is no item '5z'"):
        make_report(study)
    assert {file: file.stat().st_mtime_ns for file in folder.rglob("*")} == before


def _results(study: Any) -> dict[str, Any]:
    from pdray.report.case import read_case

    return results_of(read_case(study))


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return _results(make_study(tmp_path_factory.mktemp("plain")))


@settings(max_examples=30)
@given(word=st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1))
def test_any_word_is_shown_as_it_is(word: str, results: dict[str, Any]) -> None:
    study = {**results["study"], "name": word, "items": [word], "versions": {word: word}}
    checks = [{**one, "found": word, "title": word} for one in results["checks"]]
    classes = [{**one, "name": word} for one in results["classes"]]
    numbers = [{**one, "group": one["group"] and f"site={word}"} for one in results["numbers"]]
    found = {**results, "study": study, "checks": checks, "classes": classes, "numbers": numbers}
    plain = Reader(page(results, Parts(), 5))
    seen = Reader(page(found, Parts(), 5))
    assert [tag for tag, _ in seen.tags] == [tag for tag, _ in plain.tags]
    assert seen.words.count(word) >= 4 or word.isspace() or word in plain.words


@pytest.mark.integration
@pytest.mark.skipif(CHROMIUM is None, reason="needs the program chromium (Debian: chromium)")
def test_a_browser_prints_it_on_six_pages_and_fits_a_phone(made: Path, tmp_path: Path) -> None:
    def browse(*flags: str) -> str:
        words = [str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
                 "--disable-background-networking", f"--user-data-dir={tmp_path}"]  # fmt: skip
        done = subprocess.run([*words, *flags], capture_output=True, text=True, timeout=180,
                              check=True)  # fmt: skip
        return done.stdout

    printed = tmp_path / "report.pdf"
    browse("--no-pdf-header-footer", f"--print-to-pdf={printed}", made.as_uri())
    pages = re.findall(rb"/Type\s*/Page[^s]", printed.read_bytes())
    assert 1 <= len(pages) <= 6
    frame = tmp_path / "frame.html"
    # The frame is as wide as a phone; what is wider than it, the page itself would have to scroll.
    script = ("onload=()=>{const d=document.querySelector('iframe').contentDocument"
              ".documentElement;document.title=d.scrollWidth+'/'+d.clientWidth}")  # fmt: skip
    text = made.read_text(encoding="utf-8").replace("&", "&amp;").replace('"', "&quot;")
    frame.write_text(
        f'<iframe srcdoc="{text}" style="width:390px;height:800px;border:0"></iframe>'
        f"<script>{script}</script>", encoding="utf-8",
    )  # fmt: skip
    (width, room) = re.findall(r"<title>(\d+)/(\d+)", browse("--dump-dom", frame.as_uri()))[0]
    assert int(width) <= int(room) <= 390
