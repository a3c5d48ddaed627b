"""Types that users name in annotations but seldom make."""

from mainspring.domain.messages import Diff
from mainspring.domain.records import Reason, Verdict
from mainspring.sdk.futures import Future
from mainspring.sdk.pipelines import Pipeline
from mainspring.sdk.runs import Runs
from mainspring.sdk.steps import Step
from mainspring.sdk.studies import Study

__all__ = ["Diff", "Future", "Pipeline", "Reason", "Runs", "Step", "Study", "Verdict"]
