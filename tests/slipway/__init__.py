"""The command line, the demo, the documents and the import law."""
