"""`python -m benchmarks.lifecycle.kills`: kill at every step, see `crash_injection.py`.

It imports nothing heavy, because each forked process imports it again.
"""

if __name__ == "__main__":
    from benchmarks.lifecycle.crash_injection import app

    app()
