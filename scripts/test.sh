#!/usr/bin/env bash
# Makes .venv if needed and runs every check. All of them run, even after one has failed.
#
#   bash scripts/test.sh              everything
#   bash scripts/test.sh tests/unit   arguments are handed to pytest
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. scripts/environment.sh

# What a developer has set for other projects, or for an Airflow of their own, has no say here.
unset PYTEST_ADDOPTS PYTEST_PLUGINS MYPYPATH "${!AIRFLOW_@}"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
summary=()
failed=0

check() {
    local name=$1 started=$SECONDS result=passed
    shift
    printf '\n== %s\n' "$name"
    "$@" || { result="FAILED ($?)"; failed=1; }
    summary+=("$(printf '%-12s %s, %d s' "$name" "$result" "$((SECONDS - started))")")
}

run_pytest() {
    "$PYTHON" -m pytest "$@" 2>&1 | tee "$scratch/pytest"
}

check ruff "$PYTHON" -m ruff check --no-cache .
check format "$PYTHON" -m ruff format --check .
check mypy "$PYTHON" -m mypy plugins sandbox scripts benchmarks dags tests
check import-linter "$PYTHON" .venv/bin/lint-imports --no-logo
check pytest run_pytest "$@"

if [ -z "${TIKTOK_TEST_POSTGRES_URL:-}" ]; then
    summary+=("PostgreSQL   SKIPPED: TIKTOK_TEST_POSTGRES_URL does not name a server")
fi

printf '\n'
printf '%s\n' "${summary[@]}"
tail -n 1 "$scratch/pytest"
exit "$failed"
