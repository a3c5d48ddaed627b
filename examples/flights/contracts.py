"""What the three files promise; rows that break it go to quarantine, with a reason, and are counted."""

from datetime import datetime

import mainspring as ms


class Flight(ms.Contract):  # the request: what is known when a flight is scheduled
    flight_id: str = ms.Field(key=True)
    scheduled: datetime = ms.Field(event_time=True)  # UTC
    local: datetime
    origin: str = ms.Field(isin=["EWR", "JFK", "LGA"])
    distance: float = ms.Field(ge=50, le=6000)


class Outcome(ms.Contract):  # the truth, which comes later; a cancelled flight has none: quarantine
    flight_id: str = ms.Field(key=True)
    scheduled: datetime = ms.Field(event_time=True)
    arr_delay: float = ms.Field(ge=-180, le=2000)
    late: bool


class Weather(ms.Contract):
    observed_at: datetime = ms.Field(event_time=True)
    wind_speed: float = ms.Field(ge=0, le=200, nullable=True)  # one reading says 1,048 mph
