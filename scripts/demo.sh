#!/usr/bin/env bash
# Publishes a video through a real Airflow to the sandbox, a local TikTok, and shows the post.
#
#   bash scripts/demo.sh [VIDEO] [--once]
#
# VIDEO    the file to publish; a clip of a few seconds is made if there is none
# --once   stop when it is posted; the last line on standard output is then one JSON object
set -euo pipefail
here=$PWD
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. scripts/environment.sh
root=$PWD
# VIDEO is meant as seen from where the caller stands.
cd "$here"
exec "$PYTHON" "$root/scripts/demo.py" "$@"
