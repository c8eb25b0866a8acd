"""The site builds, loads nothing from elsewhere, and its reference is the program's."""

import subprocess
import sys
from pathlib import Path

from text_recognizer.registry import PLURALS
from training import cli, run_sweep  # noqa: F401 - whose rooms register their kinds
from training.runs.causes import Cause

REPOSITORY = Path(__file__).resolve().parents[3]


def test_the_site_builds_without_a_broken_link_and_loads_nothing_from_the_network(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", tmp_path],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "--gpus-per-trial" in (tmp_path / "reference" / "commands.html").read_text()
    assert "layer_size" in (tmp_path / "reference" / "parts.html").read_text()
    loaded = ['src="http', 'src="//', '<link rel="stylesheet" href="http', '<link rel="preconnect']
    for page in tmp_path.rglob("*.html"):
        text = page.read_text()
        assert [start for start in loaded if start in text] == [], page


def test_the_page_of_the_run_folder_names_every_cause():
    page = (REPOSITORY / "docs" / "reference" / "run-folder.md").read_text(encoding="utf-8")
    assert [cause for cause in Cause if f"`{cause}`" not in page] == []


def test_the_guide_for_contributors_says_where_every_kind_of_part_goes():
    guide = (REPOSITORY / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert [kinds for kinds in PLURALS.values() if f"`text_recognizer.{kinds}`" not in guide] == []
