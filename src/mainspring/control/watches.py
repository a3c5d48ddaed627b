"""Files that triggers wait for, here and in buckets: looked at beside the owner's loop, as either may hang."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from msgspec.structs import replace

from mainspring.control.triggers import advance
from mainspring.control.turn import Turn
from mainspring.control.usecases import ends, loop
from mainspring.domain.errors import MainspringError
from mainspring.domain.home import Home
from mainspring.domain.states import TERMINAL
from mainspring.domain.triggers import Happening, Standing
from mainspring.store import runs
from mainspring.store import triggers as store
from mainspring.store.buckets import look_in_bucket
from mainspring.store.watches import Look, look_at

REST_S = 2.0
"""Seconds between two looks at the same files."""

BUCKET_REST_S = 15.0
"""The same for those of a bucket, where each look is a request that somebody pays."""

_MOST_AT_ONCE = 8
_SLACK_S = 2.0
"""Times of files are coarse on some disks."""


class Watch:
    """The looks at the files of one trigger; at most one goes on."""

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._is_far = "://" in pattern
        self._thread: threading.Thread | None = None
        self._looked_at = -BUCKET_REST_S
        self._before = ""
        self._found: Look | None = None
        self.fault = ""

    @property
    def is_looking(self) -> bool:
        """A look has not come back."""
        return self._thread is not None and self._thread.is_alive()

    def begin(self) -> None:
        """Look once more, if the last look is over and some time has passed."""
        rest_s = BUCKET_REST_S if self._is_far else REST_S
        if not self.is_looking and time.monotonic() - self._looked_at >= rest_s:
            self._looked_at = time.monotonic()
            self._thread = threading.Thread(target=self._look, name="watch", daemon=True)
            self._thread.start()

    def take(self) -> Look | None:
        """Return what two looks in a row have seen alike: nobody writes any more."""
        found, self._found = self._found, None
        if found is None:
            return None
        settled = found.stamp == self._before
        self._before = found.stamp
        return found if settled else None

    def _look(self) -> None:
        try:
            self._found, self.fault = (look_in_bucket if self._is_far else look_at)(self._pattern), ""
        except MainspringError as fault:
            self.fault = f"{fault.code}: {fault.what}"
        except (OSError, ValueError) as fault:
            self.fault = str(fault)


_watches: dict[Path, dict[str, Watch]] = {}


@ends
def forget_watches(home: Home) -> None:
    """Look no more; a look that hangs ends with the process."""
    _watches.pop(home.root, None)


@loop(every_s=1.0, topics=("triggers",))
def watch_files(turn: Turn) -> None:
    """Take what was seen of the files of this node and of its buckets, and look again.

    What is there at the first look starts nothing. A change that happened while no owner was there
    is seen by the next one, for the record keeps what the files looked like.
    """
    wanted = {each.id: each for each in store.list_triggers(turn.connection, event="file") if each.node == turn.node}
    watches = _watches.setdefault(turn.home.root, {})
    for gone in watches.keys() - wanted.keys():
        del watches[gone]
    for each in wanted.values():
        watch = watches.setdefault(each.id, Watch(each.match["path"]))
        found = watch.take()
        if watch.fault and watch.fault != each.outcome:
            store.save_trigger(turn.connection, each, replace(each, outcome=watch.fault, outcome_at=turn.now()))
        if found is not None and found.stamp != each.seen:
            _note(turn, each, found)
        if sum(other.is_looking for other in watches.values()) < _MOST_AT_ONCE:
            watch.begin()


def _note(turn: Turn, standing: Standing, found: Look) -> None:
    """Keep what the files look like now, and start what waits for their change."""
    seen = replace(standing, seen=found.stamp)
    store.save_trigger(turn.connection, standing, seen)
    if standing.seen is None:
        return
    path = standing.match["path"]
    facts = {"path": path, **({"while": standing.pipeline} if _is_own(turn, standing, found) else {})}
    changed_at = turn.now() if found.changed_at is None else found.changed_at
    body = {"path": path, "files": found.files}
    happening = Happening("file", facts, path, turn.now(), changed_at, body, trigger=standing.id)
    others = [each for each in store.list_triggers(turn.connection, project=standing.project) if each.event != "alarm"]
    advance(turn, standing.project, others, [happening])


def _is_own(turn: Turn, standing: Standing, found: Look) -> bool:
    """Tell whether the files changed while the run went on that this trigger started last."""
    held = None if standing.run_id is None else runs.find_held(turn.connection, standing.run_id)
    if held is None:
        return False
    run = held[0]
    if run.state not in TERMINAL or run.ended_at is None:
        return True
    return found.changed_at is not None and run.created_at <= found.changed_at + _SLACK_S <= run.ended_at + 2 * _SLACK_S
