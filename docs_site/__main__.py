"""`python -m docs_site [FOLDER]`: write the pages that are made from the code to docs/reference."""

import sys
from pathlib import Path

from docs_site.reference.pages import FOLDER, write_pages

if __name__ == "__main__":
    write_pages(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER)
