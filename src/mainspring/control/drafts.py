"""Drafts: what writers of blobs left when they were killed."""

from __future__ import annotations

from mainspring.control.turn import Turn
from mainspring.control.usecases import adopts
from mainspring.store.blobs import FOLDERS, sweep_drafts

KEPT_S = 3600.0
"""Nobody writes on one blob for so many seconds."""


@adopts
def sweep(turn: Turn) -> None:
    """Remove old drafts; where there are very many blobs, those of some folders, other ones each time."""
    sweep_drafts(turn.home.blobs, turn.now() - KEPT_S, first=turn.randomness.bits(32) % FOLDERS)
