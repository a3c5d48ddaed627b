"""What is told of a run that waits: when it is likely to start, and what would have it start now."""

from __future__ import annotations

import msgspec

from mainspring.compute.scheduling.forecasts import Forecast, forecast
from mainspring.compute.scheduling.remedies import find_remedy
from mainspring.compute.scheduling.sketches import Sketch


class Outlook(msgspec.Struct, frozen=True):
    """What is told of a run that waits.

    Attributes
    ----------
    at : float
        The moment that it was told for.
    forecast : Forecast or None
        When it starts; None: nothing that can be foretold makes room for it.
    change : str
        The one change with which it would start now; empty: none was found.
    """

    at: float
    forecast: Forecast | None = None
    change: str = ""


def look_ahead(sketch: Sketch, *, budget_s: float = 2.0) -> Outlook:
    """Find when a run starts, and what would have it start now.

    Parameters
    ----------
    sketch : Sketch
        The state, with the run that is asked about.
    budget_s : float, default 2
        CPU seconds after which no further course is rolled forward.
    """
    return Outlook(sketch.now, forecast(sketch, budget_s=budget_s), find_remedy(sketch))
