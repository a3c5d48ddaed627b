"""The port to model libraries: one flavor writes, reads, asks and converts their objects."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import entry_points
from typing import Any, Protocol, runtime_checkable

from mainspring.domain.errors import Invalid
from mainspring.models.columns import Array
from mainspring.models.signature import Column, Signature

GROUP = "mainspring.flavors"


class Flavor(Protocol):
    """What Mainspring knows about the models of one library.

    An adapter is a class with these members and no required argument, named by an entry point
    of the group ``mainspring.flavors``. Importing its module and making the object MUST NOT
    import the library; the methods that need it MUST raise `Unavailable` MODEL-011 when it is
    missing or broken.

    Attributes
    ----------
    name : str
        The name of its entry point; the `format` of what it answers natively.
    file : str
        The file of a version that holds the native form; no two flavors share one.
    """

    name: str
    file: str

    def supports(self, model: Any) -> bool:
        """Tell whether `model` is one of this library's, without importing it."""
        ...

    def features(self, model: Any) -> tuple[str, ...] | None:
        """Return the input columns that the model was trained on, in order; None: unknown."""
        ...

    def outputs(self, model: Any) -> tuple[Column, ...]:
        """Return what `predict` gives: ``label`` and ``probability``, or ``value``."""
        ...

    def categories(self, model: Any) -> dict[str, tuple[str, ...]]:
        """Return the levels of the text columns that the model was trained on, as far as it knows."""
        ...

    def params(self, model: Any) -> dict[str, Any]:
        """Return the model's own parameters as JSON values."""
        ...

    def distributions(self, model: Any) -> tuple[str, ...]:
        """Return the distributions, by their index names, that `load` and `predict` need."""
        ...

    def save(self, model: Any) -> bytes:
        """Write the model in a format whose reading runs no code of the file.

        MUST raise `Invalid` MODEL-002 when the model cannot be written so.
        """
        ...

    def tell_mlflow(self, content: bytes, environment: Mapping[str, str]) -> dict[str, Any]:
        """Return by which settings MLflow's flavor of the same name reads what `save` wrote.

        None when it has no such flavor. `environment` holds the versions of `distributions`.
        """
        ...

    def load(self, content: bytes) -> Any:
        """Read what `save` wrote.

        MUST raise `Invalid` MODEL-010 for other bytes, and MUST NOT trust a type because the
        file names it.
        """
        ...

    def predict(self, model: Any, columns: Mapping[str, Array], signature: Signature) -> dict[str, Array]:
        """Return the outputs by name for checked columns."""
        ...

    def convert(self, model: Any, signature: Signature) -> bytes:
        """Return an ONNX graph that takes the signature's inputs, each of shape (rows, 1).

        Its outputs MUST have the names of the signature's outputs. MUST raise `Invalid`
        MODEL-003 when the library's objects of that kind have no such graph.
        """
        ...


@runtime_checkable
class Tracer(Protocol):
    """What a flavor has besides when its models tell only by answering what they take and give."""

    def trace(self, model: Any, columns: Mapping[str, Array]) -> Any:
        """Return what the flavor's other methods take, of a model and checked rows of its example.

        MUST leave the model as it is. MUST raise `Invalid` MODEL-002 when it cannot be traced.
        """
        ...

    def ask(self, model: Any, columns: Mapping[str, Array]) -> dict[str, Any]:
        """Return outputs by name of a model that cannot be traced, in the process where its code runs."""
        ...


class NativePredictor:
    """A predictor that asks the library itself.

    Parameters
    ----------
    flavor : Flavor
        The library's flavor.
    model : object
        What the flavor's `load` gave.
    signature : Signature
        What the model takes and gives.
    """

    def __init__(self, flavor: Flavor, model: Any, signature: Signature) -> None:
        self.flavor = flavor
        self.model = model
        self.signature = signature
        self.format = flavor.name

    def predict(self, columns: Mapping[str, Array]) -> dict[str, Array]:
        """Return the outputs by name; see `mainspring.models.runtime.Predictor`."""
        return self.flavor.predict(self.model, columns, self.signature)


def find_flavor(model: Any) -> Flavor:
    """Return the flavor that supports a model object.

    Raises
    ------
    Invalid
        MODEL-002 when none does.
    """
    flavors = load_flavors()
    for flavor in flavors:
        if flavor.supports(model):
            return flavor
    kind = f"{type(model).__module__}.{type(model).__qualname__}"
    names = ", ".join(flavor.name for flavor in flavors) or "none"
    raise Invalid("MODEL-002", f"no flavor supports {kind}", why=f"the flavors installed here are: {names}", got=kind)


def find_flavor_of_files(files: Mapping[str, Any]) -> Flavor:
    """Return the flavor that reads the native form among a version's files.

    Raises
    ------
    Invalid
        MODEL-010 when no flavor reads any of the files.
    """
    for flavor in load_flavors():
        if flavor.file in files:
            return flavor
    raise Invalid("MODEL-010", "no flavor reads any of the model's files", files=sorted(files))


def keep_json(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a model that are JSON values; NaN is none.

    Examples
    --------
    >>> keep_json({"depth": 3, "missing": float("nan"), "callbacks": [print]})
    {'depth': 3}
    """
    kinds = str | int | float | bool | None
    return {name: value for name, value in settings.items() if isinstance(value, kinds) and value == value}  # noqa: PLR0124


def load_flavors() -> list[Flavor]:
    """Return one object of every installed flavor, in order of their names."""
    return [point.load()() for point in sorted(entry_points(group=GROUP))]
