"""Feature views: a feature is defined once, for training and for serving."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from functools import update_wrapper
from typing import TYPE_CHECKING, Any, overload

from mainspring.domain import records
from mainspring.domain.errors import Invalid
from mainspring.domain.units import parse_duration
from mainspring.sdk.datasets import Dataset

if TYPE_CHECKING:
    import polars as pl

    from mainspring.data.joins import Readings
    from mainspring.data.views import Timing

Function = Callable[..., Any]


class FeatureView:
    """A function over frames that gives features; called, it is that function.

    Attributes
    ----------
    name : str
        Of the function.
    source : str or None
        Reference of the dataset whose readings it takes; None: the rows themselves.
    """

    def __init__(self, function: Function, source: str | None, timing: dict[str, Any]) -> None:
        update_wrapper(self, function)
        self.name = function.__name__
        self.source = source
        self._function = function
        self._timing = timing
        self._ready: tuple[str, Readings] | None = None
        self._proved: str | None = None

    def __call__(self, *args: Any, **named: Any) -> Any:
        """Call the function."""
        return self._function(*args, **named)

    def apply(self, rows: Any, *, at: str | datetime | None = None, source: Dataset | None = None) -> pl.DataFrame:
        """Add the features to rows, in serving as in training.

        Parameters
        ----------
        rows : object
            A Polars or pandas frame, a list of dicts, or an Arrow stream.
        at : str or datetime, optional
            The column that tells the time of each row, or one moment (UTC) for all; needed by a
            view with a source.
        source : Dataset, optional
            The version to take readings from; by default the source's latest.

        Returns
        -------
        polars.DataFrame
            The rows with the features beside them. Each row sees the newest reading that was
            known at its time, and nothing later.

        Raises
        ------
        Invalid
            DATA-005 when the rows lack a column, DATA-016 when the features cannot be computed,
            DATA-017 when they depend on later readings or on the rows beside.

        Notes
        -----
        Cost: readings are prepared once for each version of the source and process. The first
        use computes three sampled rows alone as well, to prove that nothing looks ahead.
        """
        from mainspring.data import views
        from mainspring.data.frames import make_frame

        frame = make_frame(rows)
        if self.source is None:
            features = views.compute_rows(self.name, self._function, frame)
            if self._proved is None and frame.height > 1:
                views.prove_rows(self.name, self._function, frame, features)
                self._proved = "rows"
            return views.add_features(self.name, frame, features)
        timing = views.Timing(**self._timing)
        times = views.find_times(frame, at)
        dataset = source or Dataset(self.source)
        features = views.join_features(self.name, frame, times, self._read(dataset, timing), timing)
        if self._proved != dataset.version.id and frame.height:
            readings = dataset.scan().lazy()
            views.prove_readings(self.name, self._function, readings, timing, frame, times, features)
            self._proved = dataset.version.id
        return views.add_features(self.name, frame, features)

    def declaration(self) -> records.Declaration:
        """Return the view as data, as `apply` and the record keep it."""
        return records.Declaration("view", self.name, {"source": self.source, **self._timing})

    def __mainspring_digest__(self) -> str:
        """Return what the features come from beside the code; which readings, the run records when it reads."""
        return f"view {self.name} {self.source} {self._timing}"

    def _read(self, dataset: Dataset, timing: Timing) -> Readings:
        from mainspring.data import views

        scan = dataset.scan()
        if self._ready is None or self._ready[0] != dataset.version.id:
            readings = views.read_features(self.name, self._function, scan.lazy(), timing)
            self._ready = dataset.version.id, readings
        return self._ready[1]

    def __repr__(self) -> str:
        return f"feature_view({self.name}, source={self.source!r})"


class Joined:
    """A dataset with the features of views beside its rows, not computed yet."""

    def __init__(self, dataset: Dataset, views: Sequence[FeatureView], using: Iterable[Dataset] = ()) -> None:
        self.dataset = dataset
        self.views = tuple(views)
        self.using = {each.name: each for each in using}
        unread = self.using.keys() - {view.source for view in self.views}
        if unread:
            raise Invalid("DATA-016", f"no view of this join reads {min(unread)!r}", name=min(unread))

    def polars(self) -> pl.DataFrame:
        """Compute the features; `FeatureView.apply` tells how and what it raises."""
        frame = self.dataset.polars()
        for view in self.views:
            source = self.using.get(view.source) if view.source is not None else None
            frame = view.apply(frame, at=self.dataset.event_time, source=source)
        return frame

    def __repr__(self) -> str:
        return f"{self.dataset!r}.join({', '.join(view.name for view in self.views)})"


@overload
def feature_view(function: Function, /) -> FeatureView: ...
@overload
def feature_view(
    *,
    source: str,
    entity: str | Sequence[str],
    event_time: str,
    available_at: str | None = None,
    ttl: str | float | None = None,
) -> Callable[[Function], FeatureView]: ...
def feature_view(
    function: Function | None = None,
    /,
    *,
    source: str | None = None,
    entity: str | Sequence[str] = (),
    event_time: str | None = None,
    available_at: str | None = None,
    ttl: str | float | None = None,
) -> Any:
    """Make a function over a lazy Polars frame into a feature view.

    Parameters
    ----------
    function : callable
        Takes a `polars.LazyFrame` and returns a frame. Without a source: the rows, and one row
        of features for each. With one: the source's readings, and readings with the columns of
        `entity` and the times beside the features.
    source : str, optional
        A dataset; each row sees its newest reading that was known at the row's event time.
    entity : str or list of str
        Columns that rows and readings share.
    event_time : str
        Column of the readings: when each happened.
    available_at : str, optional
        Column of the readings: when each became known; by default when it happened.
    ttl : str or number, optional
        Greatest age of a reading (``"3h"``, or seconds), inclusive; by default any age.

    Returns
    -------
    FeatureView
        For `Dataset.join` in training and ``.apply(rows, at=...)`` in serving.

    Raises
    ------
    Invalid
        DATA-016 when a source comes without entity and event_time, or they without a source.

    Examples
    --------
    >>> @feature_view
    ... def doubled(rows):
    ...     return rows.select(twice=2 * __import__("polars").col("x"))
    >>> doubled.apply([{"x": 4}])["twice"].item()
    8
    """
    if function is not None:
        return FeatureView(function, None, {})
    names = [entity] if isinstance(entity, str) else list(entity)
    if source is None or not names or event_time is None:
        given = {"source": source, "entity": names, "event_time": event_time}
        raise Invalid("DATA-016", f"a view with {given}: source, entity and event_time go together")
    timing = {
        "entity": names,
        "event": event_time,
        "available": available_at,
        "ttl_s": parse_duration(ttl) if ttl is not None else None,
    }
    return lambda inner: FeatureView(inner, source, timing)
