"""Count the states of the slow step's tasks."""

from __future__ import annotations

import json
from collections import Counter

from metaflow import Flow

run = Flow("Wide").latest_run
print(json.dumps(Counter("succeeded" if task.successful else "failed" for task in run["wait"])))
