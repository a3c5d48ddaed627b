"""Wheels that tests make themselves, and the metadata of Mainspring where it is only on the path."""

import base64
import hashlib
import tomllib
import zipfile
from importlib.metadata import distribution
from pathlib import Path

ROOT = Path(__file__).parents[2]


def make_wheel(folder, name, version, code, requires=()):
    """Write a wheel with one module of the same name."""
    info = f"{name}-{version}.dist-info"
    needs = "".join(f"Requires-Dist: {each}\n" for each in requires)
    files = {
        f"{name}.py": code,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{path},sha256={_digest(text)},{len(text)}\n" for path, text in files.items())
    folder.mkdir(parents=True, exist_ok=True)
    wheel = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, text in {**files, f"{info}/RECORD": f"{record}{info}/RECORD,,\n"}.items():
            archive.writestr(path, text)
    return wheel


def give_metadata(folder):
    """Return a folder for the path that holds what an installation knows of itself; None where one is."""
    if distribution("mainspring").requires:
        return None
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    info = folder / "mainspring-0.1.0.dist-info"
    info.mkdir(parents=True)
    needs = "".join(f"Requires-Dist: {each}\n" for each in project["dependencies"])
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: mainspring\nVersion: 0.1.0\n{needs}")
    (info / "entry_points.txt").write_text(distribution("mainspring").read_text("entry_points.txt"))
    return folder


def _digest(text):
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
