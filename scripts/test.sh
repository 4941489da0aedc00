#!/usr/bin/env bash
# Makes .venv if needed and runs every check. All of them run, even after one has failed.
#
#   bash scripts/test.sh              everything
#   bash scripts/test.sh tests/unit   arguments are handed to pytest
#
# The tests that start a real Airflow wait most of the time: they run beside all the others, and are shown after them.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. scripts/environment.sh

# What a developer has set for other projects, or for an Airflow of their own, has no say here.
unset PYTEST_ADDOPTS PYTEST_PLUGINS MYPYPATH "${!AIRFLOW_@}" "${!COV_@}" "${!COVERAGE_@}"
scratch=$(mktemp -d)
export COVERAGE_FILE=$scratch/coverage
beside=
trap '[ -z "$beside" ] || kill "$beside" 2>/dev/null; rm -rf "$scratch"' EXIT
summary=()
closing_lines=()
failed=0

check() {
    local name=$1 started=$SECONDS result=passed
    shift
    printf '\n== %s\n' "$name"
    "$@" || { result="FAILED ($?)"; failed=1; }
    summary+=("$(printf '%-15s %s, %d s' "$name" "$result" "$((SECONDS - started))")")
}

run_pytest() {
    "$PYTHON" -m pytest "$@" 2>&1 | tee "$scratch/pytest"
}

tests_with_airflow_ended() {
    local status=0
    wait "$beside" || status=$?
    beside=
    cat "$scratch/airflow"
    return "$status"
}

# pytest's own last line, whatever Python says after it while it ends.
closing_line() { grep -E '^=+ .* in [0-9.]+s' "$1" | tail -n 1 || true; }

if [ $# -eq 0 ]; then
    "$PYTHON" -m pytest tests/integration tests/faults >"$scratch/airflow" 2>&1 &
    beside=$!
fi

check ruff "$PYTHON" -m ruff check --no-cache .
check format "$PYTHON" -m ruff format --check .
check mypy "$PYTHON" -m mypy plugins sandbox scripts benchmarks dags tests
check import-linter "$PYTHON" .venv/bin/lint-imports --no-logo
if [ $# -eq 0 ]; then
    check docs env AIRFLOW_HOME="$scratch/airflow" "$PYTHON" -m sphinx -W --keep-going -q \
        -d "$scratch/doctrees" -b html docs "$scratch/site"
fi
if [ $# -eq 0 ]; then
    check "pytest" run_pytest --cov --cov-report= tests/unit tests/sandbox
    check "pytest, Airflow" tests_with_airflow_ended
    closing_lines+=("$(closing_line "$scratch/airflow")")
else
    check pytest run_pytest "$@"
fi
closing_lines+=("$(closing_line "$scratch/pytest")")

if [ -z "${TIKTOK_TEST_POSTGRES_URL:-}" ]; then
    summary+=("PostgreSQL      SKIPPED: TIKTOK_TEST_POSTGRES_URL does not name a server")
fi

printf '\n'
printf '%s\n' "${summary[@]}" "${closing_lines[@]}"
exit "$failed"
