"""Where the front-end files of others lie: the one place that names their versions beside the script that fetches them.

requirements/vendor_frontend.sh renews them; tests/web/test_vendor_files.py checks that these paths exist.
"""

from collections.abc import Mapping

FILES: Mapping[str, str] = {
    "tabler.css": "vendor/tabler-core-1.6.1/tabler.min.css",
    "tabler.js": "vendor/tabler-core-1.6.1/tabler.min.js",
    "htmx.js": "vendor/htmx.org-2.0.11/htmx.min.js",
    "alpine.js": "vendor/alpinejs-csp-3.17.4/alpine.min.js",
    "uplot.js": "vendor/uplot-1.6.32/uplot.min.js",
    "uplot.css": "vendor/uplot-1.6.32/uplot.min.css",
    "d3-hierarchy.js": "vendor/d3-hierarchy-3.1.2/d3-hierarchy.min.js",
    "icons.svg": "vendor/tabler-icons-3.51.0/sprite.svg",
}
"""Short name, as in `{% vendor "htmx.js" %}`, to the path of the static file."""
