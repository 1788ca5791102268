#!/usr/bin/env bash
# System packages that the tests use: a browser with a font, PostgreSQL, nginx (to check docker/nginx.conf). Installs
# them on Debian or Ubuntu as root; otherwise says what an administrator must install. Tests that lack one are skipped
# with a reason.
set -u

missing=()
command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null ||
  missing+=(chromium)
[ -e /usr/share/fonts/truetype/dejavu/DejaVuSans.ttf ] || missing+=(fonts-dejavu-core)
command -v initdb >/dev/null || compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || missing+=(postgresql)
command -v nginx >/dev/null || [ -x /usr/sbin/nginx ] || missing+=(nginx-light)
[ ${#missing[@]} -eq 0 ] && exit 0

if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
  echo "installing ${missing[*]}"
  export DEBIAN_FRONTEND=noninteractive
  apt-get -qq update >/dev/null
  # RUNLEVEL=1: their services are not started; the tests start their own.
  RUNLEVEL=1 apt-get -qq install -y --no-install-recommends "${missing[@]}" >/dev/null && exit 0
fi
echo "The tests need: ${missing[*]}. An administrator installs them with: apt-get install ${missing[*]}" >&2
echo "Until then the tests that need them are skipped." >&2
exit 0
