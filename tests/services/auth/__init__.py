"""API keys and the guard, in process and over HTTP."""
