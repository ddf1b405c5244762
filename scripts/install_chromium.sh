#!/usr/bin/env bash
# Sees to a Chromium for the browser tests: the one that CHROMIUM names or the system has, else Debian's, by apt.
set -euo pipefail

if [ -n "${CHROMIUM:-}" ] || command -v chromium >/dev/null || command -v chromium-browser >/dev/null; then
    exit 0
fi
if ! command -v apt-get >/dev/null; then
    echo "The browser tests need Chromium: install it, or set CHROMIUM to the path of a Chromium or Chrome." >&2
    exit 1
fi
root=()
if [ "$(id -u)" != 0 ]; then
    if ! command -v sudo >/dev/null; then
        echo "The browser tests need Chromium: as root, apt-get install chromium; or set CHROMIUM to the path of one." >&2
        exit 1
    fi
    root=(sudo)
fi
"${root[@]}" apt-get update
"${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends chromium
