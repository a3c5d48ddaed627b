"""Checkpoints: where a run goes on when it is tried again."""

from __future__ import annotations

import time
from typing import Any

from mainspring.domain.errors import Invalid, MainspringError
from mainspring.domain.tracking import CHECKPOINT, Artifact, ListArtifacts
from mainspring.sdk.companion import companion_of
from mainspring.sdk.context import ActiveRun
from mainspring.sdk.inline import warn
from mainspring.sdk.log import append, check_active, check_step
from mainspring.sdk.results import store_result
from mainspring.tracking.journal import Item


class Checkpoint:
    """Saves the state of objects within a run, and restores it when the run is tried again.

    Notes
    -----
    A run is tried again when its worker was killed or it failed with retries left, and when
    `start_run` resumes it: it has its checkpoints still. Another call of the step is another run.
    """

    def __init__(self, active: ActiveRun, keep: int) -> None:
        self._active = active
        self._keep = keep

    def restore(self, *objects: Any) -> int:
        """Give objects the state that was saved last, in place.

        Parameters
        ----------
        *objects
            Those that `save` is given, in that order.

        Returns
        -------
        int
            The step to go on with: the one after the saved step; 0 when nothing was saved.

        Raises
        ------
        Conflict
            LOG-004 when they are not the objects that were saved.
        Invalid
            LOG-003 for an object that cannot be changed in place.

        Notes
        -----
        Guarantees: only what was saved whole is restored. A checkpoint whose bytes are gone or
        changed is passed over for the one before. What is logged without `step` goes on with the
        position that it had.
        """
        from mainspring.tracking.checkpoints import put_back
        from mainspring.tracking.codecs import load_value

        client = self._active.client
        companion_of(client).ship(self._active)
        found: list[Artifact] = client.ask(ListArtifacts(run_id=self._active.run.id, name=CHECKPOINT))
        for each in reversed(found):
            try:
                saved = load_value(each.value, client.blobs, client.seal)
            except MainspringError as fault:
                if fault.code not in {"HOME-013", "HOME-014"}:
                    raise
                warn(f"the checkpoint of step {each.step} cannot be read: {fault.code}: {fault.what}")
                continue
            put_back(saved.states, objects)
            self._active.positions.clear()
            self._active.positions.update(saved.positions)
            return each.step + 1
        return 0

    def save(self, *objects: Any, step: int) -> None:
        """Save the state of objects; older checkpoints beyond `keep` go.

        Parameters
        ----------
        *objects
            Anything with ``state_dict`` and ``load_state_dict``; dicts, lists, sets, bytearrays,
            arrays, random generators; other objects by their attributes, as pickle takes them.
        step : int
            The step that is done, >= 0.

        Raises
        ------
        Invalid
            STEP-009 for no step; LOG-003 for an object without state, STEP-001 for a state that
            cannot be stored.
        Interrupted
            The run was cancelled, lost or given up: this is where it ends.

        Notes
        -----
        Guarantees: all or nothing. The bytes are on disk, named by their SHA-256, before the line
        is written that makes it a checkpoint, and that line outlives the process. Equal states are
        stored once.
        """
        from mainspring.tracking.checkpoints import Saved, take_state

        active = self._active
        check_active()
        place = check_step(step)
        value = store_result(Saved([take_state(each) for each in objects], dict(active.positions)), active.client)
        append(active, Item(Artifact(CHECKPOINT, place, time.time(), value, self._keep)))
        check_active()

    def __repr__(self) -> str:
        return f"<Checkpoint of {self._active.run.name}, keeps {self._keep}>"


def checkpoint(*, keep: int = 2) -> Checkpoint:
    """Save and restore the state of a long loop, so that a run that is tried again goes on where it was.

    Parameters
    ----------
    keep : int, default 2
        How many checkpoints stay, >= 1.

    Returns
    -------
    Checkpoint
        Of the active run::

            saved = ms.checkpoint()
            for step in range(saved.restore(model, optimizer), 100):
                ...
                saved.save(model, optimizer, step=step)

    Raises
    ------
    Invalid
        STEP-006 outside of runs; STEP-008 for a `keep` below 1.

    Examples
    --------
    >>> with ms.start_run("loop"):
    ...     done, saved = {"sum": 0}, ms.checkpoint()
    ...     for step in range(saved.restore(done), 3):
    ...         done["sum"] += step
    ...         saved.save(done, step=step)
    >>> done
    {'sum': 3}
    """
    active = check_active()
    if type(keep) is not int or keep < 1:
        raise Invalid("STEP-008", f"keep={keep!r}; a whole number from 1 is needed")
    return Checkpoint(active, keep)
