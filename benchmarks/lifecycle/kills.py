"""`python -m benchmarks.lifecycle.kills`: kill at every step, see `killing.py`.

It imports nothing heavy, because each process that is forked imports it anew.
"""

if __name__ == "__main__":
    from benchmarks.lifecycle.killing import app

    app()
