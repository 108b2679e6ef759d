"""Compiles `services/grpc/protos/*.proto` into `services/grpc/descriptors.py`.

python -m tests.services.grpc.compile_protos
"""

import tempfile
from base64 import b85encode
from importlib.resources import files
from pathlib import Path
from zlib import compress

from tests.services.conftest import ROOT

PROTOS = ROOT / "services" / "grpc" / "protos"
COMPILED = ROOT / "services" / "grpc" / "descriptors.py"
LINE_CHARS = 88
HEAD = '''"""The files in `protos/` as descriptors, compressed. Written by `make protos`."""

DESCRIPTORS = (
'''


def compiled_descriptors() -> bytes:
    """The descriptors of all files and of what they import: a `FileDescriptorSet`."""
    from grpc_tools import protoc

    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "descriptors.binpb"
        names = sorted(path.name for path in PROTOS.glob("*.proto"))
        include = files("grpc_tools") / "_proto"
        options = [
            f"-I{PROTOS}",
            f"-I{include}",
            "--include_imports",
            f"--descriptor_set_out={out}",
        ]
        if protoc.main(["protoc", *options, *names]):
            raise RuntimeError(f"{PROTOS}: expected files that compile; protoc says what is wrong")
        return out.read_bytes()


def module_of(descriptors: bytes) -> str:
    """The source of `services/grpc/descriptors.py`."""
    text = b85encode(compress(descriptors, 9)).decode()
    lines = [text[start : start + LINE_CHARS] for start in range(0, len(text), LINE_CHARS)]
    return HEAD + "".join(f'    b"{line}"\n' for line in lines) + ")\n"


if __name__ == "__main__":
    COMPILED.write_text(module_of(compiled_descriptors()))
