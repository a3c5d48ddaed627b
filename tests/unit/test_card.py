"""The card of a model: everything that is known, and nothing that somebody wrote becomes more than text."""

import re

from mainspring.domain.lineage import Lineage
from mainspring.domain.records import Verdict, Version
from mainspring.models.card import render_card, write_card

EVIL = "<script>alert('x')</script> | [go](https://evil.example)\n# not a title `code`"
COMPARED = {"metric": "auc", "challenger": 0.8, "champion": 0.7, "change": 0.1, "low": 0.05, "high": 0.15}


def make(**details):
    return Version("1" * 32, "model", "default", "delays", 3, "d" * 64, {}, details, description=EVIL, tags={"a": EVIL})


FULL = make(
    goal={"text": EVIL, "metric": "log_loss", "target": 0.3, "owner": "ops@air.example"},
    format="onnx",
    size_bytes=2048,
    latency_ms=0.5,
    signature={
        "inputs": [{"name": EVIL, "datatype": "BYTES", "categories": [EVIL, "b"]}, {"name": "n", "datatype": "FP64"}],
        "outputs": [{"name": "probability", "datatype": "FP64"}],
    },
    parity={
        "problem": "", "passed": True, "rows": 10, "nan_rows": 2, "unseen_rows": 1,
        "label_mismatches": 0, "max_abs_dp": 1e-7,
    },
    trained_on=["rows@1"],
    made_by="r" * 32,
    code={"commit": "c" * 40},
    params={"rate": 0.1},
    environment={"python": "3.11.7"},
)  # fmt: skip
VERDICT = Verdict(
    "2" * 32, "3" * 32, "delays@3", "champion", "delays@2", "recent@1", True, EVIL,
    {"better": [COMPARED], "slices": {"worst": [COMPARED | {"column": "shop", "value": EVIL, "rows": 400}]}},
)  # fmt: skip
RAW = Version("4" * 32, "dataset", "default", "raw", 1, "e", {})
LINEAGE = Lineage(FULL, [RAW], [], [VERDICT], ["web"])


def test_a_card_tells_all_that_is_known():
    card = write_card(FULL, LINEAGE)
    for told in (
        "log\\_loss, target 0.3; owner ops@air.example",
        "- answers as onnx, ",
        "0.5 ms a row",
        "| auc | 0.8000 | 0.7000 (delays@2) | +0.1000 \\[+0.0500, +0.1500\\] | recent@1 |",
        "passed for champion against delays@2 on recent@1",
        "trained on rows@1",
        "which were made of raw@1",
        "served by web",
        "- python 3.11.7",
        "rate=0.1",
    ):
        assert told in card, told
    assert re.findall(r"^## (.+)$", card, re.MULTILINE) == [
        "Inputs", "Proof", "Metrics", "Slices", "Verdicts", "Origin", "Environment",
    ]  # fmt: skip


def test_what_somebody_wrote_stays_text():
    card = write_card(FULL, LINEAGE)
    assert "<script>" not in card.replace("\\<", "")
    assert "](https" not in card.replace("\\]", "")
    assert [line for line in card.splitlines() if line.startswith("# ")] == ["# delays@3"]
    tables = [line for line in card.splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in tables} <= {5, 6}, "no cell has become two"
    page = render_card(FULL, LINEAGE)
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert page.startswith("<!doctype html>")


def test_a_card_of_what_hardly_anything_is_known_of():
    bare = Version("1" * 32, "model", "default", "lines", 1, "d", {"MLmodel": "x"}, {"source": "runs:/x/model"})
    assert "registered from runs:/x/model" in write_card(bare)
    assert "trained on data outside the record" in write_card(bare, Lineage(bare))
    assert "lines@1" in render_card(Version("1" * 32, "model", "default", "lines", 1, "d", None))
