"""Bodies that are as much work as a body of a given size can be."""

from collections.abc import Callable, Mapping

MAX_DIGITS = 4000
"""Digits of a number that Python still converts."""


def _filled(before: str, item: str, after: str = "") -> Callable[[int], bytes]:
    """A body of repeated items, `#` replaced by their number, up to a size in bytes."""

    def body(size: int) -> bytes:
        room = size - len(before) - len(after)
        items: list[str] = []
        used = number = 0
        while True:
            text = item.replace("#", f"{number:x}")
            used += len(text) + 1
            if used > room:
                break
            items.append(text)
            number += 1
        return (before + ",".join(items) + after).encode()

    return body


def _nested(before: str, after: str = "") -> Callable[[int], bytes]:
    def body(size: int) -> bytes:
        depth = (size - len(before) - len(after)) // 2
        return f"{before}{'[' * depth}{']' * depth}{after}".encode()

    return body


WORST: Mapping[str, Callable[[int], bytes]] = {
    "unknown keys": _filled("{", '"#":0', "}"),
    "one key again and again": _filled("{", '"age":0', "}"),
    "empty rows": _filled('{"rows":[', "{}", "]}"),
    "rows of one unknown key": _filled('{"rows":[', '{"#":0}', "]}"),
    "one row of unknown keys": _filled('{"rows":[{', '"#":0', "}]}"),
    "rows that are no objects": _filled('{"rows":[', "0", "]}"),
    "unknown columns": _filled('{"columns":{', '"#":[0]', "}}"),
    "one long column": _filled('{"columns":{"age":[', "1", "]}}"),
    "split: column names": _filled('{"dataframe_split":{"data":[],"columns":[', '"#"', "]}}"),
    "split: empty rows": _filled('{"dataframe_split":{"columns":["age"],"data":[', "[]", "]}}"),
    "records of one unknown key": _filled('{"dataframe_records":[', '{"#":0}', "]}"),
    "inputs: many": _filled('{"inputs":{', '"#":[]', "}}"),
    "tensors": _filled(
        '{"inputs":[', '{"name":"#","shape":[1],"datatype":"FP64","data":[1]}', "]}"
    ),
    "tensor: a shape of many dimensions": _filled('{"inputs":[{"name":"x","shape":[', "9", "]}]}"),
    "tensor: long numbers in its shape": _filled(
        '{"inputs":[{"name":"x","shape":[', "9" * MAX_DIGITS, "]}]}"
    ),
    "tensor: nested data": _filled(
        '{"inputs":[{"name":"age","datatype":"FP64","shape":[1],"data":[', "[[1]]", "]}]}"
    ),
    "labels": _filled('{"labels":[', '{"prediction_id":"#"}', "]}"),
    "deep nesting": _nested('{"age":', "}"),
    "wide nesting": _filled('{"age":[', "[[[]]]", "]}"),
    "long numbers": _filled('{"age":[', "9" * MAX_DIGITS, "]}"),
    "escapes": lambda size: b'{"age":"' + b"\\u0041" * ((size - 10) // 6) + b'"}',
    "one long text": lambda size: b'{"age":"' + b"a" * (size - 10) + b'"}',
}
"""By name, what makes a body of at most a size in bytes."""
