"""MLflow's client behind our types and errors: the only package that calls it.

In: names, numbers, run ids, paths. Out: `StoredModel`, `StoredVersion`, `StoredRun`, files; each
failure as a `PlatformError`. `registry.store.Store` holds one object of each kind.
May import contracts; of the rest of the registry, nothing.
"""
