"""Real clients and proxies: each sends one row again and again, as it comes, without options.

`catalog` lists them, and `programs/` has a short program for each that is a library. The tests
check their answers; `python -m benchmarks.serving.clients` measures what they cost the service.
"""
