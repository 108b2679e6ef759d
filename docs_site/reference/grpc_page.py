"""`grpc-api.md`: the services and messages of the .proto files."""

import re
from collections.abc import Iterator
from pathlib import Path

import services.grpc
from docs_site.reference.markdown import code, fenced, page_head, table

PROTOS = {
    "open_inference.proto": "Predictions",
    "health.proto": "Health",
    "reflection.proto": "Reflection",
}
INTRODUCTION = """\
Turn gRPC on with `SLIPWAY_SERVICE_GRPC_PORT`; [gRPC](../grpc.md) explains clients, keys, errors
and TLS. The messages below are those of the .proto files in `services/grpc/protos`."""
_SERVICE = re.compile(r"^service \w+ \{\n(.*?)^\}", re.DOTALL | re.MULTILINE)
_METHOD = re.compile(
    r"(?P<comment>(?:^ *// .*\n)*)^ *rpc (?P<name>\w+)\((?P<request>[^)]+)\) "
    r"returns \((?P<response>[^)]+)\)",
    re.MULTILINE,
)
_MESSAGE = re.compile(
    r"(?:^//[^\n]*\n)*^(?:message|enum) \w+ \{(?:\}$|\n.*?^\})", re.DOTALL | re.MULTILINE
)
_PACKAGE = re.compile(r"^package ([\w.]+);", re.MULTILINE)


def grpc_page() -> str:
    """The page as Markdown."""
    folder = Path(services.grpc.__file__).parent / "protos"
    lines = page_head("gRPC API", INTRODUCTION)
    for file, title in PROTOS.items():
        lines += [f"## {title}", "", *_section((folder / file).read_text(encoding="utf-8"))]
    return "\n".join(lines)


def _section(text: str) -> Iterator[str]:
    yield from (_comment(text.partition("\nsyntax")[0]), "")
    package = _PACKAGE.search(text)
    yield from (f"Package {code(package[1])}." if package else "", "")
    for service in _SERVICE.finditer(text):
        rows = [
            [code(m["name"]), code(m["request"]), code(m["response"]), _comment(m["comment"])]
            for m in _METHOD.finditer(service[1])
        ]
        yield from table(["method", "request", "response", "meaning"], rows)
    messages = [match[0] for match in _MESSAGE.finditer(text)]
    yield from fenced("protobuf", "\n\n".join(messages))


def _comment(lines: str) -> str:
    """The text of some lines of comment; an address in brackets stays as it is."""
    words = " ".join(line.strip().removeprefix("//").strip() for line in lines.splitlines())
    return " ".join(re.sub(r"(https?://[^\s,)]+)", r"<\1>", words).split())
