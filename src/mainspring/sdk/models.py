"""Models: registered with proof, opened by reference."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import msgspec

from mainspring.domain.errors import Invalid
from mainspring.domain.html import render_fields, tells_errors
from mainspring.domain.messages import Explain, GetVersion
from mainspring.domain.records import Reason, Version
from mainspring.sdk.context import active_run
from mainspring.sdk.datasets import Dataset
from mainspring.sdk.handles import Handle
from mainspring.sdk.lineage import current_client

if TYPE_CHECKING:
    import polars as pl

    from mainspring.models.runtime import Predictor
    from mainspring.models.signature import Signature


class Goal(msgspec.Struct, frozen=True):
    """Why a model exists.

    Parameters
    ----------
    text : str
        What it is for, in words of the business.
    metric : str
        By which it is measured.
    owner : str
        Who answers for it.
    target : float, optional
        What the metric should reach; None: no number was set.

    Raises
    ------
    Invalid
        MODEL-012 when a text is empty.

    Examples
    --------
    >>> Goal("fewer missed connections", metric="log_loss", owner="operations@air.example").metric
    'log_loss'
    """

    text: str
    metric: str
    owner: str
    target: float | None = None

    def __post_init__(self) -> None:
        for name in ("text", "metric", "owner"):
            if not str(getattr(self, name)).strip():
                raise Invalid("MODEL-012", f"a goal has no {name}", goal=self.text)


class Model(Handle):
    """A handle on one version of a model; nothing is asked or read before it is needed.

    Parameters
    ----------
    reference : str
        ``name`` (the latest version), ``name@12``, ``name@champion`` or ``name@2026-11-01``. The
        first use decides which version it is; from then on the handle stays on it.

    Raises
    ------
    Invalid
        DATA-001 when the reference is none.

    Examples
    --------
    >>> ms.Model("delays@champion").predict({"wind": [3.0, 28.0]})  # doctest: +SKIP
    """

    _kind = "model"

    def __init__(self, reference: str) -> None:
        super().__init__(reference)
        self._predictor: Predictor | None = None

    def _find(self, reference: str) -> Version:
        """Ask for the version; the active run's reading of it is recorded."""
        active = active_run()
        run_id = active.run.id if active is not None else None
        version: Version = current_client().ask(GetVersion("model", reference, run_id, follower=run_id))
        return version

    @property
    def details(self) -> dict[str, Any]:
        """What registration found: signature, parity, size, latency, params, code, data, goal."""
        details: dict[str, Any] = self.version.details
        return details

    @property
    def signature(self) -> Signature:
        """The columns that it takes and gives."""
        from mainspring.models.signature import Signature

        if "signature" not in (self.details or {}):  # a folder that an MLflow client has registered says it itself
            return self._load_predictor().signature
        return msgspec.convert(self.details["signature"], Signature)

    @property
    def files(self) -> dict[str, Path]:
        """Its files: relative name -> where the bytes are."""
        blobs = current_client().blobs
        return {name: blobs.path(digest) for name, digest in self.version.manifest.items()}

    @property
    def card(self) -> str:
        """What it is for, what it takes, how it was proven, what gates said and where it comes from; Markdown."""
        from mainspring.models.card import write_card

        return write_card(self.version, self.lineage())

    @overload
    def predict(self, rows: Any) -> pl.DataFrame: ...

    @overload
    def predict(
        self,
        rows: Dataset | str,
        *,
        to: str,
        mode: str = "overwrite",
        key: str | Iterable[str] = (),
        keep: Iterable[str] | None = None,
        outputs: Mapping[str, str] | None = None,
    ) -> Dataset: ...

    def predict(
        self,
        rows: Any,
        *,
        to: str = "",
        mode: str = "overwrite",
        key: str | Iterable[str] = (),
        keep: Iterable[str] | None = None,
        outputs: Mapping[str, str] | None = None,
    ) -> pl.DataFrame | Dataset:
        """Answer rows here, or every row of a dataset into another one.

        Parameters
        ----------
        rows : Dataset, frame, mapping of columns or list of mappings
            With at least the model's inputs; others are left aside. With `to` a Dataset or a reference.
        to : str, optional
            The dataset that takes the predictions, made in a worker of the home; here it is waited for.
        mode : str
            ``overwrite`` (default) or ``append``, as of `write`.
        key : str or iterable of str, optional
            Columns that identify a row; by default the key of the rows.
        keep : iterable of str, optional
            Columns that stand beside the predictions, after the key; by default the event time, and all
            columns where the rows have no key.
        outputs : mapping of str to str, optional
            Output -> name of its column; by default all, and ``model``, the version that answered.

        Returns
        -------
        polars.DataFrame or Dataset
            ``label`` and ``probability``, or ``value``; a row for each row. With `to` the version.

        Raises
        ------
        Invalid
            MODEL-005 and MODEL-007 to MODEL-009 for rows that the signature refuses. With `to`:
            BATCH-001 to BATCH-006, DATA-005 for a column that is not there, DATA-010 for a bad mode.

        Notes
        -----
        The same form answers here, in a gate, in a service and in a worker. With `to` references are pinned
        at the call, rows are answered in parts, and a worker that is killed is followed by one that goes on: each row
        is in the result once. Asked again with nothing changed, that version answers.
        """
        if to:
            from mainspring.sdk.predictions import predict_dataset

            names = [key] if isinstance(key, str) else list(key)
            columns = {"keep": None if keep is None else list(keep), "outputs": outputs and dict(outputs)}
            return predict_dataset(self.reference, rows, to, mode=mode, key=names, **columns)
        return self._answer(rows)

    def evaluate(self, data: Any, target: str, *, slices: Iterable[str] = ()) -> pl.DataFrame:
        """Measure it on labelled rows.

        Parameters
        ----------
        data : Dataset or frame
            Rows with the inputs and the target; rows without target are left out.
        target : str
            The column of the truth: 0 and 1, or values.
        slices : iterable of str
            Columns; each of their values gets a row of its own.

        Returns
        -------
        polars.DataFrame
            ``slice``, ``rows`` and a column for each metric; the first row is of all rows.

        Raises
        ------
        Invalid
            GATE-002 when a column is missing, GATE-006 for other labels.
        """
        from mainspring.evaluation.scores import score_slices

        rows = data.polars() if isinstance(data, Dataset) else data
        return score_slices(rows, self._answer(rows), target, tuple(slices))

    def load(self) -> Any:
        """Return the object itself, as its library has it.

        Raises
        ------
        Unavailable
            MODEL-011 when the library is not installed.
        """
        from mainspring.models.runtime import ONNX_FILE, load_predictor

        files = {name: path for name, path in self.files.items() if name != ONNX_FILE}
        native: Any = load_predictor(files, seal=current_client().seal)
        return native.model

    def why(self) -> Reason:
        """Explain where it comes from and what was decided about it."""
        reason: Reason = current_client().ask(Explain(thing=self._reference))
        return reason

    def _answer(self, rows: Any) -> pl.DataFrame:
        import polars as pl

        from mainspring.models.columns import to_columns

        given = to_columns(rows.polars() if isinstance(rows, Dataset) else rows)
        predictor = self._load_predictor()
        wanted = {each.name: given[each.name] for each in predictor.signature.inputs if each.name in given}
        return pl.DataFrame(predictor.predict(predictor.signature.check(wanted)))

    def _load_predictor(self) -> Predictor:
        from mainspring.models.runtime import load_predictor

        if self._predictor is None:
            self._predictor = load_predictor(self.files, seal=current_client().seal)
        return self._predictor

    @tells_errors
    def _repr_html_(self) -> str:
        details = self.version.details
        goal, parity = details.get("goal") or {}, details.get("parity") or {}
        signature = {
            side: ", ".join(f"{each['name']} {each['datatype']}" for each in columns)
            for side, columns in (details.get("signature") or {}).items()
        }
        fields = {
            "goal": f"{goal['text']} ({goal['metric']}, owner {goal['owner']})" if goal else None,
            "aliases": ", ".join(self.version.aliases),
            "format": details.get("format"),
            "parity": ("passed" if parity.get("passed") else "FAILED") if parity else None,
            **signature,
            "trained on": ", ".join(details.get("trained_on") or ()),
        }
        return render_fields(f"model {self.version.reference}", fields, f"mainspring why {self.version.reference}")


def register(
    obj: Any,
    name: str,
    *,
    example: Any = None,
    goal: Goal | None = None,
    features: Iterable[Any] = (),
    allow_code: bool = False,
) -> Model:
    """Register a fitted model: written in safe formats, proven, with its lineage.

    Parameters
    ----------
    obj : object
        A fitted scikit-learn estimator or Pipeline, a LightGBM or XGBoost model, a PyTorch module or exported
        program, an ``onnx.ModelProto``; or the path of an ``.onnx`` file or of a folder with an ``MLmodel`` file; or
        a `Model` that an MLflow client registered, which is converted once, and keeps run and data it came from.
    name : str
        The model; each new content is its next version.
    example : Dataset, frame or mapping of columns
        Rows that it was trained on, or rows like them; columns that are no features are left
        aside. With at least 10,000 rows the ONNX form is proven on real rows; with fewer, rows of
        the datasets that training read are taken as well. A folder may bring its own.
    goal : Goal, optional
        Why the model exists.
    features : iterable of feature views or their names
        Views that a service computes for each request.
    allow_code : bool, default False
        Keep any other object as code, sealed with the project's key; open a folder's pickle, in a process apart.

    Returns
    -------
    Model
        The version, pinned; equal content is the same version.

    Raises
    ------
    Invalid
        MODEL-002, MODEL-004, MODEL-005, MODEL-008 for object or example, MODEL-060 to MODEL-062 for a folder.

    Warns
    -----
    ParityWarning
        MODEL-003: the ONNX form answers differently, so only the native form is kept.

    Notes
    -----
    Recorded: all that the version's details tell, and what the run that made it, or the tree around it, has read.

    Examples
    --------
    >>> ms.register(model, "delays", example=rows)  # doctest: +SKIP
    """
    from mainspring.sdk.registering import register_model

    names = tuple(view if isinstance(view, str) else str(getattr(view, "name", view)) for view in features)
    told: Mapping[str, Any] | None = msgspec.to_builtins(goal) if goal is not None else None
    given, origin = (obj.files, obj.version) if isinstance(obj, Model) else (obj, None)
    options: dict[str, Any] = {"goal": told, "features": names, "allow_code": allow_code, "origin": origin}
    return Model.of(register_model(given, name, example, **options))
