"""What packages exchange: documents, schema, names, times, labels, settings and errors.

In: nothing. Out: versioned documents (manifest, pointer, traffic record, verdict ...), the schema
and its policies, names and paths, the settings loader, the error tree.
May import: none of our packages. Only `files` touches the disk, and only `process_error` writes
to standard error; there is no clock, network or environment. Every package may import this one.
"""
