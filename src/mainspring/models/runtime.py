"""Predictors: the files of a model version, ready to answer."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import msgspec

from mainspring.domain.errors import Denied, Invalid
from mainspring.models.columns import Array
from mainspring.models.signature import Signature
from mainspring.security.seals import Seal
from mainspring.store.blobs import check_content, is_digest

ONNX_FILE = "model.onnx"
SEALED_FILE = "model.sealed"
SIGNATURE_FILE = "signature.json"
MLMODEL_FILE = "MLmodel"


class Predictor(Protocol):
    """A loaded model that takes named columns.

    Attributes
    ----------
    signature : Signature
        What it takes and gives.
    format : str
        ``onnx``, or the name of the flavor that answers natively.
    """

    signature: Signature
    format: str

    def predict(self, columns: Mapping[str, Array]) -> dict[str, Array]:
        """Return the outputs by name, one value (or row of values) for each row.

        Takes columns as `Signature.check` returns them; MUST NOT change them, MUST be safe to
        call from several threads and MUST give a row the same answer in any batch.
        """
        ...


def load_predictor(files: Mapping[str, Path], *, seal: Seal | None = None) -> Predictor:
    """Load the fastest form of a model version that its files hold.

    Parameters
    ----------
    files : mapping of str to Path
        Relative name -> file, as in the version's manifest.
    seal : Seal, optional
        The project's; only a model that was registered with `allow_code` needs it.

    Returns
    -------
    Predictor
        ONNX Runtime when there is a ``model.onnx``; it imports no training library. Else the
        native form. A folder that an MLflow client registered is converted and proven here, each time.

    Raises
    ------
    Invalid
        MODEL-010 when a file is missing or cannot be read; MODEL-060 and MODEL-062 for a folder of MLflow's.
    Unavailable
        MODEL-011 when the format's library is not installed.
    Denied
        MODEL-013 when the model is code and no seal was given; HOME-012 when it is sealed by
        another project; MODEL-061 when a folder of MLflow's holds a pickle.
    """
    if SIGNATURE_FILE not in files and MLMODEL_FILE in files:
        from mainspring.models.folders import load_folder

        return load_folder(files)
    signature = read_signature(files)
    if ONNX_FILE in files:
        from mainspring.models.adapters.onnx import OnnxPredictor

        return OnnxPredictor(read_file(files, ONNX_FILE), signature)
    if SEALED_FILE in files:
        return _open_sealed(files, signature, seal)
    from mainspring.models.flavors import NativePredictor, find_flavor_of_files

    flavor = find_flavor_of_files(files)
    return NativePredictor(flavor, flavor.load(read_file(files, flavor.file)), signature)


def _open_sealed(files: Mapping[str, Path], signature: Signature, seal: Seal | None) -> Predictor:
    if seal is None:
        raise Denied("MODEL-013", "this model is code, which is not run here")
    from mainspring.models.sealed import SealedPredictor

    return SealedPredictor(seal.open(read_file(files, SEALED_FILE)), signature)


def read_signature(files: Mapping[str, Path]) -> Signature:
    """Read the signature of a version's files; MODEL-010 when it cannot be read."""
    try:
        return msgspec.json.decode(read_file(files, SIGNATURE_FILE), type=Signature)
    except msgspec.DecodeError as fault:
        raise Invalid("MODEL-010", f"{SIGNATURE_FILE} is no signature: {fault}") from None


def read_file(files: Mapping[str, Path], name: str) -> bytes:
    """Return the bytes of one of a version's files.

    Raises
    ------
    Invalid
        MODEL-010 when it is not there; HOME-014 when it is a blob whose bytes were cut or swapped.
    """
    if name not in files:
        raise Invalid("MODEL-010", f"the model has no file {name}", files=sorted(files))
    path = files[name]
    try:
        content = path.read_bytes()
    except OSError as fault:
        raise Invalid("MODEL-010", f"{name} cannot be read: {fault.strerror}", path=str(path)) from None
    if is_digest(path.name):
        check_content(path.name, hashlib.sha256(content).hexdigest())
    return content
