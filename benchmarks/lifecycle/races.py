"""`python -m benchmarks.lifecycle.races`: race for Production, see `racing.py`.

It imports nothing heavy, because each process that is forked imports it anew.
"""

if __name__ == "__main__":
    from benchmarks.lifecycle.racing import app

    app()
