"""Messages about predictions of whole datasets."""

from __future__ import annotations

from typing import Any

from mainspring.domain.command import Command
from mainspring.domain.records import Run

MODEL = "model"
"""Column that names, in each row, the version that answered."""


class Predict(Command):
    """Have a worker of the home answer every row of a dataset version; answers with its run.

    Attributes
    ----------
    model, data : str
        References of the model and of the rows.
    to : str
        The dataset that takes the predictions.
    mode : str
        ``overwrite`` or ``append``.
    key : list of str
        Columns that identify a row; empty: the key of the rows.
    keep : list of str or None
        Columns that stand beside the predictions; None: key and event time, or all where there is no key.
    outputs : dict of str to str or None
        Output -> name of its column; None: all, and ``model``, under their own names.
    run_id : str or None
        The run below which this one lies.
    """

    model: str
    data: str
    to: str
    mode: str = "overwrite"
    key: list[str] = []
    keep: list[str] | None = None
    outputs: dict[str, str] | None = None
    run_id: str | None = None


ANSWERS: dict[type[Command], Any] = {Predict: Run}
