"""How long a run waits before it is tried again."""

from __future__ import annotations

FIRST_S = 1.0
"""The first wait of a step that names none."""

MOST_S = 600.0
"""No wait is longer."""

KEPT = 50
"""So many attempts of a run are kept in its record, the last ones."""


def find_wait(first_s: float, failures: int, luck: float) -> float:
    """Return the seconds to wait after a failure: doubled with each, capped, and partly by chance.

    Parameters
    ----------
    first_s : float
        The wait after the first failure, >= 0; 0 never waits.
    failures : int
        Failures so far, >= 1.
    luck : float
        From 0 to 1; runs that failed together must not come again together.

    Returns
    -------
    float
        From half of the doubled wait to all of it, at most `MOST_S`.

    Examples
    --------
    >>> [find_wait(1.0, failures, luck=1.0) for failures in (1, 2, 3, 60)]
    [1.0, 2.0, 4.0, 600.0]
    >>> find_wait(1.0, 3, luck=0.0)
    2.0
    """
    whole = min(first_s * 2.0 ** min(failures - 1, 60), MOST_S)
    return whole * (0.5 + luck / 2)
