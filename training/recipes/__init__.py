"""One file a model: `<name>.py` with one `recipe`; files that begin with `_` help them."""
