#!/usr/bin/env bash
# Makes the virtual environment with the clients and servers of requirements.txt, if it is not there or has others.
# Python's venv module is installed with apt if it is missing and we are root.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
venv=$here/.venv

cmp -s "$here/requirements.txt" "$venv/installed" && exit
# A directory of its own proves nothing: without ensurepip the module makes an environment that lacks pip.
if ! python3 -c 'import venv, ensurepip' 2>/dev/null; then
    if [ "$(id -u)" -ne 0 ]; then
        echo "python3 lacks venv: install the package python3-venv" >&2
        exit 1
    fi
    apt-get update -q && apt-get install -qy python3-venv
fi
rm -rf "$venv"
python3 -m venv "$venv"
"$venv/bin/pip" install --quiet --disable-pip-version-check -r "$here/requirements.txt"
cp "$here/requirements.txt" "$venv/installed"
