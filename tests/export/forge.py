"""Forge bundles: change files and recompute their hashes, as an attacker could."""

from __future__ import annotations

from dataclasses import replace

import onnx
from google.protobuf.message import DecodeError

from emufort.export import Bundle
from emufort.export.fortran import fortran_source
from emufort.export.golden import Golden
from emufort.export.manifest import HashChain, Manifest, network_sha256
from emufort.export.restore import restore
from emufort.export.weights_file import WeightsFile
from emufort.files import json_text
from emufort.provenance import file_sha256


def sign(bundle: Bundle, keep_sources: bool = False) -> None:
    """Make manifest, hashes and origins fit the files as they are now, as a careful forger would.

    With `keep_sources` the Fortran files stay as they are, else they are written again.
    """
    path, manifest = bundle.path, bundle.manifest
    links = dict(manifest.chain.links)
    file = WeightsFile.from_bytes(bundle.weights.read_bytes())
    links["candidate"] = network_sha256(manifest.contract, file.flat)

    def chain(link: str) -> str:
        return HashChain(links).upto(link)

    about = {"candidate_sha256": links["candidate"]}
    try:
        model = onnx.load(bundle.onnx)
    except DecodeError:
        pass
    else:
        values = {"chain": chain("candidate"), **about}
        for property in model.metadata_props:
            property.value = values.get(property.key, property.value)
        onnx.save(model, bundle.onnx)
    links["onnx"] = file_sha256(bundle.onnx)
    about["chain"] = chain("onnx")
    golden = Golden.load(path / "golden.nc", manifest.contract)
    forged = replace(
        file,
        about={**file.about, **about},
        golden_x=golden.x,
        golden_y=golden.y,
        absolute_tolerance=golden.tolerance * golden.spread,
    )
    links["weights"] = forged.write(bundle.weights)
    if not keep_sources:
        identity = chain("weights")
        source = fortran_source(restore(forged), identity, manifest.name, forged)
        bundle.module_source.write_text(source)
        cmake = path / "CMakeLists.txt"
        cmake.write_text(cmake.read_text().replace(manifest.hash, identity))
    links["fortran"] = file_sha256(bundle.module_source)
    files = {name: file_sha256(path / name) for name in manifest.files}
    signed: Manifest = replace(manifest, files=files, chain=HashChain(links))
    (path / "manifest.json").write_text(json_text(signed.to_dict()))
