"""The commands of `slipway`, one module each, or one for commands that belong together.

In: what a person types; each module has a Typer application `app`. Out: text for people, or JSON
with `--json`. May import every package, heavy ones only when a command runs.
"""
