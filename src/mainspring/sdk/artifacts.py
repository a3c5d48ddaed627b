"""Artifacts of runs: what `log` kept beside numbers, to be looked at and loaded again."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

from mainspring.domain.errors import NotFound
from mainspring.domain.tracking import FILE, OWN, Artifact, ListArtifacts
from mainspring.sdk.lineage import current_client


class Logged:
    """What a run logged under one name, newest last.

    Attributes
    ----------
    name : str
        Its name.
    steps : tuple of int
        The steps that there is one of, in the order they were logged last.
    """

    def __init__(self, found: list[Artifact]) -> None:
        self.name = found[-1].name
        self._by_step = {each.step: each for each in found}
        self.steps = tuple(self._by_step)

    @property
    def summary(self) -> str:
        """What the newest is, in a few words."""
        return self._find(None).value.summary

    @property
    def size_bytes(self) -> int:
        """Length of the newest as stored; of a file or folder that of the list of its files."""
        return self._find(None).value.size_bytes

    def load(self, step: int | None = None) -> Any:
        """Load it again.

        Parameters
        ----------
        step : int, optional
            Default: the newest.

        Returns
        -------
        object
            Figures and pictures as the bytes of their PNG, Plotly's as their dict, tables as Polars
            frames, paths and files of MLflow's clients as the path of an equal file or folder, anything
            else as it was logged.

        Raises
        ------
        NotFound
            HOME-013 when its bytes are gone, HOME-010 when nothing was logged at this step.
        """
        from mainspring.tracking.codecs import load_value
        from mainspring.tracking.structures import copy_file

        client, value = current_client(), self._find(step).value
        if value.codec == FILE:
            return copy_file(value.digest, PurePosixPath(self.name).name, client.blobs)
        return load_value(value, client.blobs, client.seal)

    def _find(self, step: int | None) -> Artifact:
        found = self._by_step.get(self.steps[-1] if step is None else step)
        if found is None:
            raise NotFound("HOME-010", f"{self.name} was not logged at step {step}", step=step)
        return found

    def _repr_png_(self) -> bytes | None:
        """Show a picture in a notebook."""
        newest = self._find(None).value
        if newest.codec not in {"png", "image"}:
            return None
        content: bytes = current_client().blobs.get(newest.digest)
        return content

    def __repr__(self) -> str:
        many = f", {len(self.steps)} steps" if len(self.steps) > 1 else ""
        return f"<{self.name}: {self.summary}{many}>"


def list_logged(run_id: str) -> dict[str, Logged]:
    """Return name -> what a run logged under it; checkpoints, which the platform keeps, are left out."""
    found: dict[str, list[Artifact]] = {}
    for each in current_client().ask(ListArtifacts(run_id=run_id)):
        if not each.name.startswith(OWN):
            found.setdefault(each.name, []).append(each)
    return {name: Logged(each) for name, each in found.items()}
