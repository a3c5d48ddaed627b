"""Snapshots hold the project's code by content, and only that."""

import importlib
import os
import subprocess
import sys
import threading

import pytest

from mainspring.errors import Invalid
from mainspring.pipelines import snapshots
from mainspring.pipelines.snapshots import digest_snapshot, lay_out, take_snapshot
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
