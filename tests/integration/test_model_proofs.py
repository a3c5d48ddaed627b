"""Whether a version answers, and which of two is better: in a worker, and with paired intervals."""

import subprocess
import sys
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from tests.integration.test_promotion import fit, make_parcels
from tests.support.shapes import check_shape

import mainspring as ms
from mainspring.domain.errors import Invalid
from mainspring.sdk.comparing import compare_models


@pytest.fixture
def parts(client):
    return ms.write(make_parcels(4_000), "parcels").split(by="at", last="9d")


def run(*words):
    command = [sys.executable, "-m", "mainspring", "models", *words, "--json"]
    return subprocess.run(command, capture_output=True, text=True, timeout=180, check=False)


def test_a_version_answers_its_example_until_its_files_are_damaged(parts, client):
    past, _ = parts
    model = ms.register(fit(past.polars(), rounds=5), "delays", example=past)
    done = run("test", "delays@1")
    assert done.returncode == 0, done.stderr
    found = check_shape("mainspring models test", done.stdout)["details"]
    assert (found["passed"], found["format"], found["rows"]) == (True, "onnx", 3)
    assert found["parity"]["label_mismatches"] == 0
    assert len(found["answers"]["probability"]) == 3
    path = client.blobs.path(model.version.manifest["model.onnx"])
    path.chmod(0o600)
    path.write_bytes(path.read_bytes()[:-10])
    broken = run("test", "delays")
    assert broken.returncode != 0
    assert "HOME-014" in broken.stderr


def test_two_versions_are_told_apart_only_by_what_the_rows_show(parts, tmp_path):
    past, recent = parts
    rows = past.polars()
    honest = fit(rows, rounds=20)
    shuffled = fit(rows, labels=np.random.default_rng(5).permutation(rows["late"].to_numpy()))
    ms.register(honest, "delays", example=past)
    ms.register(shuffled, "delays", example=past)
    picture = tmp_path / "intervals.svg"
    done = run(
        "compare", "delays@1", "delays@2", "--data", recent.reference, "--target", "late", "--plot", str(picture)
    )
    assert done.returncode == 0, done.stderr
    found = check_shape("mainspring models compare", done.stdout)
    by_name = {each["metric"]: each for each in found["metrics"]}
    assert set(by_name) == {"auc", "log_loss", "brier", "error_rate", "ece"}
    auc = by_name["auc"]
    assert auc["better"] == "first"
    assert 0 < auc["low"] < auc["change"] < auc["high"]
    assert auc["change"] == pytest.approx(auc["first"] - auc["second"])
    assert by_name["log_loss"]["better"] == "first"
    assert by_name["log_loss"]["high"] < 0, "in the metric's own sign"
    drawn = ET.fromstring(picture.read_text("utf-8"))
    assert sum(each.tag.endswith("circle") for each in drawn.iter()) == 5
    same = compare_models("delays@1", "delays@1", recent.reference, "late")
    assert {each.better for each in same.metrics} == {""}
    with pytest.raises(Invalid, match="GATE-002"):
        compare_models("delays@1", "delays@2", recent.reference, "none")
