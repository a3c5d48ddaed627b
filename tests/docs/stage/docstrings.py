"""Run the examples of public docstrings in the home that the environment names; prints how many there were."""

import doctest
import inspect
import sys

import mainspring
from mainspring import types

_FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def list_public():
    """Return what users name: functions, classes and their public methods."""
    things = {f"ms.{name}": getattr(mainspring, name) for name in mainspring.__all__}
    things |= {f"types.{name}": getattr(types, name) for name in types.__all__}
    found = {}
    for name, thing in things.items():
        found[name] = thing
        if inspect.isclass(thing):
            for method, value in inspect.getmembers_static(thing):
                inner = getattr(value, "__func__", getattr(value, "fget", value))
                own = inspect.isfunction(inner) and inner.__module__.startswith("mainspring")
                if own and not method.startswith("_"):
                    found[f"{name}.{method}"] = value
    return found


def run_examples():
    """Return how many examples ran and how many failed; failures are printed."""
    parser, runner = doctest.DocTestParser(), doctest.DocTestRunner(optionflags=_FLAGS, verbose=False)
    for name, thing in list_public().items():
        module = sys.modules.get(getattr(inspect.unwrap(thing), "__module__", ""), mainspring)
        text = inspect.getdoc(thing) or ""
        test = parser.get_doctest(text, {**vars(module), "ms": mainspring}, name, module.__file__, 0)
        if test.examples:
            runner.run(test)
    return runner.tries, runner.failures


if __name__ == "__main__":
    tried, failed = run_examples()
    print("examples", tried)
    sys.exit(1 if failed else 0)
