#!/usr/bin/env bash
# Fetches the front-end files that pages load and lays them under webapp/static/vendor/, with licences and checksums.
# Run by hand to renew them: change a version here, run it, change webapp/common/vendor.py, commit. It needs npm with
# any registry that has these packages; running the product needs neither.
# An icon is added by its name in requirements/vendor_icons.txt.
set -euo pipefail

TABLER=1.6.1
ICONS=3.51.0
HTMX=2.0.11
ALPINE=3.17.4
UPLOT=1.6.32
D3_HIERARCHY=3.1.2

root=$(cd "$(dirname "$0")/.." && pwd)
vendor=$root/webapp/static/vendor
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fetch() { # package, version: prints the folder with its files
  local folder=$work/${1//[@\/]/-}
  mkdir -p "$folder"
  (cd "$folder" && npm pack --silent "$1@$2" >/dev/null && tar xzf ./*.tgz)
  echo "$folder/package"
}

put() { # source, target: without the comment that names a source map, which is not shipped
  sed -E 's,/\*# sourceMappingURL=[^*]*\*/,,; s,^//# sourceMappingURL=.*$,,' "$1" >"$2"
}

mit() { # copyright lines, for packages that name the licence but carry no file of it
  printf 'MIT License\n\n%s\n\n' "$1"
  sed -n '/^Permission is hereby granted/,$p' "$icons/LICENSE"
}

tabler=$(fetch @tabler/core $TABLER)
icons=$(fetch @tabler/icons $ICONS)
htmx=$(fetch htmx.org $HTMX)
alpine=$(fetch @alpinejs/csp $ALPINE)
uplot=$(fetch uplot $UPLOT)
hierarchy=$(fetch d3-hierarchy $D3_HIERARCHY)

rm -rf "$vendor"/tabler-core-* "$vendor"/tabler-icons-* "$vendor"/htmx.org-* "$vendor"/alpinejs-csp-* "$vendor"/uplot-*
rm -rf "$vendor"/d3-hierarchy-*
mkdir -p "$vendor"/{tabler-core-$TABLER,tabler-icons-$ICONS,htmx.org-$HTMX,alpinejs-csp-$ALPINE,uplot-$UPLOT,d3-hierarchy-$D3_HIERARCHY}

put "$tabler/dist/css/tabler.min.css" "$vendor/tabler-core-$TABLER/tabler.min.css"
put "$tabler/dist/js/tabler.min.js" "$vendor/tabler-core-$TABLER/tabler.min.js"
mit 'Copyright 2018-2026 The Tabler Authors
Copyright 2018-2026 codecalm.net Paweł Kuna
Contains Bootstrap, Copyright 2011-2025 The Bootstrap Authors
Contains Popper, Copyright 2019 Federico Zivolo' >"$vendor/tabler-core-$TABLER/LICENSE"

{
  echo '<svg xmlns="http://www.w3.org/2000/svg">'
  while read -r name; do
    echo "<symbol id=\"$name\" viewBox=\"0 0 24 24\">"
    grep -E '^ *<(path|circle|line|rect|polyline|ellipse)' "$icons/icons/outline/$name.svg" |
      grep -v 'M0 0h24v24H0z' | sed 's/^ *//'
    echo '</symbol>'
  done <"$root/requirements/vendor_icons.txt"
  echo '</svg>'
} >"$vendor/tabler-icons-$ICONS/sprite.svg"
cp "$icons/LICENSE" "$vendor/tabler-icons-$ICONS/LICENSE"

put "$htmx/dist/htmx.min.js" "$vendor/htmx.org-$HTMX/htmx.min.js"
cp "$htmx/LICENSE" "$vendor/htmx.org-$HTMX/LICENSE"

put "$alpine/dist/cdn.min.js" "$vendor/alpinejs-csp-$ALPINE/alpine.min.js"
mit 'Copyright 2019-2026 Caleb Porzio and contributors
Contains @vue/reactivity, Copyright 2018-present Yuxi (Evan) You and Vue contributors' \
  >"$vendor/alpinejs-csp-$ALPINE/LICENSE"

put "$uplot/dist/uPlot.iife.min.js" "$vendor/uplot-$UPLOT/uplot.min.js"
put "$uplot/dist/uPlot.min.css" "$vendor/uplot-$UPLOT/uplot.min.css"
cp "$uplot/LICENSE" "$vendor/uplot-$UPLOT/LICENSE"

put "$hierarchy/dist/d3-hierarchy.min.js" "$vendor/d3-hierarchy-$D3_HIERARCHY/d3-hierarchy.min.js"
cp "$hierarchy/LICENSE" "$vendor/d3-hierarchy-$D3_HIERARCHY/LICENSE"

cd "$vendor"
find . -mindepth 2 -type f | LC_ALL=C sort | sed 's,^\./,,' | xargs sha256sum >CHECKSUMS.sha256
