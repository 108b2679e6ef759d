"""What crosses borders keeps its shape."""
