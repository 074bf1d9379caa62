#!/usr/bin/env bash
# Make sure that there is a Chromium for the browser tests: install Debian's where we may, else say what to do.
set -euo pipefail

for name in chromium chromium-browser google-chrome; do
    command -v "$name" >/dev/null && exit 0
done

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "Installing Chromium for the browser tests." >&2
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core >/dev/null
    exit 0
fi

cat >&2 <<'TEXT'
The browser tests need Chromium, which is not here. Install it and run again:
    Debian, Ubuntu:  sudo apt-get install chromium fonts-dejavu-core
    Fedora:          sudo dnf install chromium
Everything but the browser tests:  .venv/bin/python -m pytest -m "not acceptance"
TEXT
exit 1
