"""What runs printed: read in pieces, each of whole characters."""

import pytest

from mainspring.compute import forks
from mainspring.control import logs
from mainspring.control.usecases import Later
from mainspring.domain import messages


@pytest.fixture
def printed(desk):
    """Return a run and the file of what its first attempt printed."""
    run = desk.ask(messages.BeginRun(kind="step", name="talk")).run
    path = forks.log_path(desk.home, run.id, 1)
    path.parent.mkdir(parents=True)
    return run, path


def test_a_character_that_is_not_whole_yet_is_waited_for(desk, printed):
    run, path = printed
    path.write_bytes("ï".encode()[:1])
    asked = messages.GetLogs(run_id=run.id, wait_s=5.0)
    assert isinstance(desk.ask(asked), Later)
    path.write_bytes("ïa".encode())
    assert desk.ask(asked).text == "ïa"


def test_a_long_text_of_a_run_that_has_ended_comes_in_pieces_of_whole_characters(desk, printed, monkeypatch):
    monkeypatch.setattr(logs, "MOST_BYTES", 8)
    run, path = printed
    text = "naïve façade, déjà vu — über"
    path.write_bytes(text.encode())
    desk.ask(messages.FinishRun(run_id=run.id, attempt=1, fence=1, state="succeeded"))
    pieces, offset, ended = [], 0, False
    while not ended:
        found = desk.ask(messages.GetLogs(run_id=run.id, offset=offset))
        pieces.append(found.text)
        offset, ended = found.offset, found.ended
    assert "".join(pieces) == text
