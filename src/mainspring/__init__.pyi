# What type checkers see of the root: each name of `_MODULES`, a test compares the two.

from mainspring.sdk.checkpoints import checkpoint as checkpoint
from mainspring.sdk.connect import connect as connect
from mainspring.sdk.contracts import Contract as Contract
from mainspring.sdk.contracts import Field as Field
from mainspring.sdk.datasets import Dataset as Dataset
from mainspring.sdk.datasets import write as write
from mainspring.sdk.declarations import apply as apply
from mainspring.sdk.environments import Env as Env
from mainspring.sdk.features import feature_view as feature_view
from mainspring.sdk.gates import Gate as Gate
from mainspring.sdk.gates import promote as promote
from mainspring.sdk.log import log as log
from mainspring.sdk.log import log_params as log_params
from mainspring.sdk.models import Goal as Goal
from mainspring.sdk.models import Model as Model
from mainspring.sdk.models import register as register
from mainspring.sdk.monitors import Monitor as Monitor
from mainspring.sdk.pipelines import pipeline as pipeline
from mainspring.sdk.runs import Run as Run
from mainspring.sdk.runs import run as run
from mainspring.sdk.runs import runs as runs
from mainspring.sdk.scripts import start_run as start_run
from mainspring.sdk.searches import Budget as Budget
from mainspring.sdk.searches import tune as tune
from mainspring.sdk.secrets import secret as secret
from mainspring.sdk.services import Service as Service
from mainspring.sdk.services import deploy as deploy
from mainspring.sdk.sources import source as source
from mainspring.sdk.steps import step as step
from mainspring.sdk.studies import between as between
from mainspring.sdk.triggers import Cron as Cron
from mainspring.sdk.triggers import On as On
from mainspring.sdk.why import why as why

__version__: str
