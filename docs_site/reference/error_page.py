"""`errors.md`: the codes of refused requests, and those of the command line."""

import inspect

from contracts import errors
from contracts.errors import PlatformError
from contracts.process_error import code_of
from docs_site.reference.markdown import code, joined, page_head, prose, table
from services.faults import FAULTS, STATUSES
from services.grpc.statuses import GRPC_STATUSES

INTRODUCTION = """\
Every error has a code for programs, and a message for people: what was expected, what came, and
what to do."""
OF_THE_SERVICE = """\
The code is in the body of an HTTP response (`error.code`) and in the details of a gRPC status
(`ErrorInfo.reason`). 429 and 503 come with `retry-after`. [Requests](../requests.md) shows the
shape of an error."""
OF_THE_COMMAND_LINE = """\
With `--json` the code is in `error.code`; the exit code is that of the process. 130 means Ctrl+C,
and 1 stands for every error without an exit code of its own."""


def error_page() -> str:
    """The page as Markdown."""
    lines = page_head("Errors", INTRODUCTION)
    lines += ["## Of the service", "", joined(OF_THE_SERVICE), ""]
    lines += table(
        ["code", "HTTP", "gRPC", "meaning"],
        [
            [code(each), str(STATUSES[each]), code(GRPC_STATUSES[each].name), meaning]
            for each, meaning in FAULTS.items()
        ],
    )
    lines += ["## Of the command line", "", joined(OF_THE_COMMAND_LINE), ""]
    lines += table(["code", "exit code", "meaning"], _platform_errors())
    return "\n".join(lines)


def _platform_errors() -> list[list[str]]:
    kinds = [
        each
        for each in vars(errors).values()
        if inspect.isclass(each) and issubclass(each, PlatformError)
    ]
    return [
        [code(code_of(each)), str(each.exit_code), _meaning(each)]
        for each in sorted(kinds, key=lambda each: (each.exit_code, each.__name__))
    ]


def _meaning(kind: type[PlatformError]) -> str:
    if kind is PlatformError:
        return "An error of no other kind."
    return prose(kind.__doc__).partition("\n\n")[0]
