"""Snapshots hold the project's code by content, and only that."""

import importlib
import os
import subprocess
import sys
import threading
from importlib.metadata import version

import pytest

from mainspring.errors import Invalid
from mainspring.pipelines import snapshots
from mainspring.pipelines.snapshots import digest_snapshot, lay_out, lay_out_modules, store_modules, take_snapshot
from mainspring.store.blobs import FolderBlobs
from mainspring.store.files import LocalFileSystem

MAIN = "from steps.clean import clean\nimport json\n\ndef train():\n    return clean(' a ')\n"
CLEAN = "def clean(text):\n    return text.strip()\n"


@pytest.fixture
def project(tmp_path, monkeypatch):
    folder = tmp_path / "project"
    (folder / "steps").mkdir(parents=True)
    (folder / "steps" / "__init__.py").write_text("")
    (folder / "steps" / "clean.py").write_text(CLEAN)
    (folder / "rows_of_pumps.py").write_text(MAIN)
    (folder / "unused.py").write_text("raise SystemExit")
    monkeypatch.syspath_prepend(str(folder))
    module = importlib.import_module("rows_of_pumps")
    yield folder, module
    for name in ("rows_of_pumps", "steps", "steps.clean"):
        sys.modules.pop(name, None)


@pytest.fixture
def blobs(tmp_path):
    return FolderBlobs(tmp_path / "blobs", LocalFileSystem())


def test_a_snapshot_runs_without_the_project(project, blobs, tmp_path):
    folder, module = project
    snapshot = take_snapshot(module.train, blobs)
    assert sorted(snapshot.files) == ["rows_of_pumps.py", "steps/__init__.py", "steps/clean.py"]
    assert snapshot.entry == "rows_of_pumps:train"
    for path in sorted(folder.rglob("*.py")):
        path.unlink()
    laid = lay_out(snapshot, tmp_path / "laid", blobs)
    code = "import rows_of_pumps; print(rows_of_pumps.train())"
    env = {**os.environ, "PYTHONPATH": str(laid)}
    assert (
        subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True).stdout
        == "a\n"
    )


def test_the_same_code_is_the_same_snapshot_and_other_code_another(project, blobs):
    folder, module = project
    first = digest_snapshot(take_snapshot(module.train, blobs))
    assert first == digest_snapshot(take_snapshot(module.train, blobs))
    (folder / "steps" / "clean.py").write_text(CLEAN + "# more\n")
    assert first != digest_snapshot(take_snapshot(module.train, blobs))


def test_many_may_lay_out_at_once(project, blobs, tmp_path):
    _, module = project
    snapshot = take_snapshot(module.train, blobs)
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(lay_out(snapshot, tmp_path / "l", blobs))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 1
    assert [path.name for path in (tmp_path / "l").iterdir()] == [found[0].name]


def test_a_path_out_of_the_folder_is_refused(blobs, tmp_path):
    outside = {"../evil.py": blobs.put(b"x = 1")}
    with pytest.raises(Invalid, match="HOME-011"):
        lay_out(snapshots.Snapshot(outside, "evil:x", sys.executable), tmp_path / "laid", blobs)
    assert not (tmp_path / "evil.py").exists()


def test_what_cannot_be_a_snapshot_is_named(project, blobs, monkeypatch):
    _, module = project

    def local():
        return 1

    with pytest.raises(Invalid, match="RENEW-002"):
        take_snapshot(local, blobs)
    monkeypatch.setattr(snapshots, "MAX_BYTES", 10)
    with pytest.raises(Invalid, match="RENEW-003"):
        take_snapshot(module.train, blobs)


def test_a_snapshot_over_its_limits_names_the_largest_files(project, blobs, monkeypatch):
    folder, module = project
    for name, lines in (("clean", 3000), ("other", 2000)):
        (folder / "steps" / f"{name}.py").write_text("# a line\n" * lines)
    (folder / "steps" / "__init__.py").write_text("from steps import clean, other\n")
    largest = r"the largest: steps/clean\.py \(27 kB\), steps/other\.py \(18 kB\), rows_of_pumps\.py \(\d+ B\)"
    for limit, most in (("MAX_BYTES", 40_000), ("MAX_FILES", 3)):
        with monkeypatch.context() as patch:
            patch.setattr(snapshots, limit, most)
            with pytest.raises(Invalid, match=rf"RENEW-003: the code is 4 files of 45 kB; {largest}"):
                take_snapshot(module.train, blobs)
            with pytest.raises(Invalid, match=largest):
                store_modules(["rows_of_pumps"], blobs)
    assert len(take_snapshot(module.train, blobs).files) == 4


def test_what_is_imported_later_elsewhere_or_in_a_namespace_comes_along(project, blobs, tmp_path, monkeypatch):
    folder, module = project
    editable = tmp_path / "library" / "src"  # a project that is installed as it lies there
    (editable / "space" / "deep").mkdir(parents=True)
    (editable / "space" / "deep" / "maps.py").write_text("from . import marks\nimport numpy\n")
    (editable / "space" / "deep" / "marks.py").write_text("from ..tops import top\n")
    (editable / "space" / "tops.py").write_text("raise SystemExit('it is read, not run')\n")
    (editable / "space" / "data.csv").write_text("a,b\n")
    (editable / "space" / ".git").mkdir()
    (editable / "space" / "__pycache__").mkdir()
    monkeypatch.syspath_prepend(str(editable))
    (folder / "rows_of_pumps.py").write_text(f"{MAIN}\ndef later():\n    import space.deep.maps\n    import absent\n")
    found = take_snapshot(module.train, blobs).files
    assert sorted(set(found) - {"rows_of_pumps.py", "steps/__init__.py", "steps/clean.py"}) == [
        "space/deep/maps.py",
        "space/deep/marks.py",
        "space/tops.py",
    ]
    assert "space" not in sys.modules


def test_a_snapshot_says_what_was_installed(project, blobs):
    _, module = project
    snapshot = take_snapshot(module.train, blobs)
    assert f"msgspec=={version('msgspec')}\n" in blobs.get(snapshot.lock).decode()


def test_modules_laid_out_count_by_their_text(project, blobs, tmp_path):
    digest = store_modules(["rows_of_pumps"], blobs)
    laid = lay_out_modules(digest, tmp_path / "laid", blobs)
    assert (laid / "steps" / "clean.py").read_text() == CLEAN
    assert (laid / "steps" / "clean.py").stat().st_mtime == 0.0
    assert lay_out_modules(store_modules(["rows_of_pumps"], blobs), tmp_path / "laid", blobs) == laid
    with pytest.raises(Invalid, match=r"RENEW-003: the blob .* holds no code"):
        lay_out_modules(blobs.put(b"no code"), tmp_path / "laid", blobs)
