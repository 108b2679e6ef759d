"""How fast, how steady and how robust the service is: `python -m benchmarks.serving`.

Trains and serves the shipped recipes as a user would, in a throwaway folder; peers serve the
same fitted pipelines in environments of their own, below `build/benchmarks`.
"""
