"""What stands above the Python blocks of a page, where the page leaves it to its reader."""

_IMPORTS = "import mainspring as ms\n"

PRELUDES = {
    "logging": f"{_IMPORTS}make = lambda: ({{'weight': 1.0}}, {{'rate': 0.1}})\nloss = 0.5\n",
    "models": f"""{_IMPORTS}
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OrdinalEncoder

past = ms.Dataset("flight_rows")
columns = ["shop", "wind"]
labels = past.polars()["late"]
past = past.polars().select(columns)
past.polars = lambda: past
""",
    "tune": f"{_IMPORTS}from flights import score\n",
    "secrets": f"{_IMPORTS}fetch = lambda address, password: [address]\n",
}
"""Name of the page -> source; pages that are not here begin with the import of Mainspring."""
