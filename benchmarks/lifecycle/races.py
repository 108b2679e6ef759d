"""`python -m benchmarks.lifecycle.races`: race for Production, see `promotion_races.py`.

It imports nothing heavy, because each forked process imports it again.
"""

if __name__ == "__main__":
    from benchmarks.lifecycle.promotion_races import app

    app()
