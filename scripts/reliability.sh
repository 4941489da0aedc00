#!/usr/bin/env bash
# Measures the figures of docs/evidence/reliability.md and prints their tables; all of them take some hours.
#
#   bash scripts/reliability.sh                        everything, even after one has failed
#   bash scripts/reliability.sh -k test_refresh_kills  arguments are handed to pytest, for tests/faults alone
#   bash scripts/reliability.sh -k test_one_post       what is killed, stopped or lost while a post goes out
#
# On SQLite, and on PostgreSQL where TIKTOK_TEST_POSTGRES_URL points to a server (databases of our own are made there).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. scripts/environment.sh

unset PYTEST_ADDOPTS PYTEST_PLUGINS "${!AIRFLOW_@}"
[ -n "${TIKTOK_TEST_POSTGRES_URL:-}" ] || say "PostgreSQL is skipped: TIKTOK_TEST_POSTGRES_URL is not set"
export TIKTOK_RELIABILITY=1
if [ $# -gt 0 ]; then
    exec "$PYTHON" -m pytest -m "" tests/faults "$@"
fi

failed=0
"$PYTHON" -m pytest -m "" tests/faults tests/integration/test_secrets.py tests/integration/test_events.py || failed=1
"$PYTHON" -m pytest -m wall_clock tests/unit tests/sandbox || failed=1
PYTHONPATH=scripts:benchmarks "$PYTHON" benchmarks/waiting.py || failed=1
if [ -n "${TIKTOK_TEST_POSTGRES_URL:-}" ]; then
    PYTHONPATH=scripts:. "$PYTHON" benchmarks/by_hand_compare.py || failed=1
else
    say "benchmarks/by_hand_compare.py is skipped: it needs PostgreSQL"
fi
exit "$failed"
