"""What each exit code of `slipway` means; docs/cli.md lists them in full."""

MEANINGS = {
    0: ("done", "done"),
    1: ("error", "an error that no other code names"),
    2: (
        "wrong usage",
        "wrong usage: an unknown command or option, a missing argument, an invalid number",
    ),
    3: (
        "refused by the gate, or nothing calls for a retraining",
        "the gate refused a promotion, or nothing calls for a retraining",
    ),
    4: ("not registered", "no such model, version or Production version"),
    5: ("registry unreachable", "the tracking server does not answer"),
    6: ("corrupt model", "a model directory is not what was registered"),
    7: (
        "too many rejected rows",
        "`slipway score` rejected more rows than `--max-rejected` allows",
    ),
    130: ("interrupted", "interrupted with Ctrl+C"),
}
"""For each code a few words for `slipway --help`, and a sentence for the page."""
SHORT_MEANINGS = {code: short for code, (short, _) in MEANINGS.items()}
