"""The page at `/`: the paths of the service, drawn by Swagger UI, which BentoML brings along.

BentoML's own page has no title of ours, does not fit a phone, and loads a tag manager from
elsewhere; this one asks nobody but the service.
"""

from services.edge.openapi import TITLE
from services.edge.routes import HtmlBody

DOCS_PATH = "/"
_PAGE = f"""\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width,initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'self'; \
style-src 'self' 'unsafe-inline'; img-src 'self' data:; base-uri 'none'; form-action 'self'">
<title>{TITLE}: predictions</title>
<link rel="stylesheet" href="./static_content/swagger-ui.css">
<link rel="icon" type="image/png" href="./static_content/favicon-light-32x32.png">
<style>
body {{ margin: 0; }}
/* The field for another document's address, and the list of types. */
.swagger-ui .topbar, .swagger-ui section.models {{ display: none; }}
.swagger-ui .info {{ margin: 1.5rem 0; }}
.swagger-ui {{ overflow-wrap: anywhere; }}
@media (max-width: 40rem) {{
.swagger-ui .wrapper {{ padding: 0 .75rem; }}
.swagger-ui .opblock .opblock-summary {{ flex-wrap: wrap; }}
.swagger-ui .opblock .opblock-summary-path {{ max-width: none; overflow-wrap: anywhere; }}
.swagger-ui .opblock .opblock-summary-description {{ flex: 1 0 100%; padding: .2rem 0; }}
.swagger-ui .opblock-body {{ overflow-x: auto; }}
}}
</style>
</head>
<body>
<noscript>The paths of this service are in <a href="./docs.json">docs.json</a>, for
<a href="https://www.openapis.org/">OpenAPI</a> tools.</noscript>
<div id="swagger-ui"></div>
<script src="./static_content/swagger-ui-bundle.js"></script>
<script src="./static_content/swagger-ui-standalone-preset.js"></script>
<script src="./static_content/swagger-initializer.js"></script>
</body>
</html>
"""


def docs_page() -> bytes:
    """The page as HTML."""
    return HtmlBody(_PAGE.encode())
