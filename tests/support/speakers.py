"""Steps that are imported in environments which have nothing but what the steps ask for."""

import importlib.util
import os
import sys

import mainspring as ms


@ms.step(env=ms.Env(["tinywords==2.0"]))
def speak(name: str) -> list:
    """Say who speaks, with which word, where, and whether the caller's packages are there, too."""
    import tinywords

    return [tinywords.say(), name, sys.prefix, importlib.util.find_spec("numpy") is None]


@ms.step
def linger() -> list:
    """Say what a package holds that takes as long to build as a test wants, and where."""
    import tarry

    return [tarry.word, sys.prefix]


@ms.step
def which() -> str:
    """Say the word of the version that is installed."""
    import tinywords

    return tinywords.say()


@ms.step(env=ms.Env(["tinywords==2.0"]))
def stumble() -> None:
    """Fail with what only its environment has."""
    import tinywords

    word = tinywords.say()
    raise ValueError(word)


@ms.pipeline(env=ms.Env(["tinywords==1.0"]))
def both() -> list:
    """Call a step without an environment of its own, and one that has one."""
    return [which(), speak("ben")[0]]


@ms.step
def plain(name: str) -> str:
    """Return a variable."""
    return os.environ.get(name, "unset")
