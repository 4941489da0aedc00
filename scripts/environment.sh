# Sourced by demo.sh and test.sh from the root of the checkout: makes .venv as requirements.txt pins it, and
# leaves its interpreter in $PYTHON. All words go to standard error, so that a command's own output stays clean.

say() { printf '%s\n' "$*" >&2; }
fail() { say "error: $*"; exit 1; }

# A name on PATH may be a shim that cannot run, or a Python without venv: only a try tells.
find_python() {
    local candidate
    for candidate in python3.13 python3.12 python3.11 python3 python; do
        if "$candidate" -c 'import ensurepip, sys, venv; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' \
            >/dev/null 2>&1; then
            printf '%s' "$candidate"
            return
        fi
    done
    return 1
}

# What the environment depends on, its own place included.
environment_stamp() {
    { pwd -P; cat requirements.txt pyproject.toml .venv/pyvenv.cfg; } 2>/dev/null | cksum
}

# Bash only sees a signal when a command in the foreground has ended: pip runs beside us, and ends with us.
pip_install() {
    local pip status=0
    .venv/bin/python -m pip install --disable-pip-version-check --no-input "$@" >>.venv/install.log 2>&1 &
    pip=$!
    trap 'kill "$pip" 2>/dev/null' INT TERM HUP
    while [ -t 2 ] && kill -0 "$pip" 2>/dev/null; do
        printf '\r  %d packages found' "$(grep -c '^Collecting' .venv/install.log)" >&2
        sleep 1
    done
    wait "$pip" || status=$?
    trap - INT TERM HUP
    [ ! -t 2 ] || printf '\r\033[K' >&2
    [ "$status" -le 128 ] || fail "interrupted"
    return "$status"
}

new_environment() {
    local python
    python=$(find_python) || fail "no usable Python found: install Python 3.11, 3.12 or 3.13 with its venv module" \
        "(on Debian and Ubuntu: apt install python3 python3-venv) and run this again"
    rm -rf .venv
    mkdir .venv
    # Written first and replaced last, so that an interrupted install never counts as done.
    echo incomplete >.venv/stamp
    "$python" -m venv .venv >.venv/install.log 2>&1 || fail "$python -m venv failed, see $PWD/.venv/install.log"
}

# Whether .venv can be brought up to date: it was finished once, and made where it is now.
can_be_updated() {
    [ -x .venv/bin/python ] && [ "$(cat .venv/stamp 2>/dev/null)" != incomplete ] \
        && grep -qF "$(pwd -P)/.venv" .venv/pyvenv.cfg
}

make_environment() {
    local started=$SECONDS
    if can_be_updated; then
        say "Updating .venv to requirements.txt (log: .venv/install.log)"
        echo incomplete >.venv/stamp
        : >.venv/install.log
    else
        say "Making .venv from requirements.txt, a few minutes the first time (log: .venv/install.log)"
        new_environment
    fi
    # Ours goes in by itself, built with the hatchling just installed, so that nothing unpinned is fetched.
    pip_install -r requirements.txt && pip_install --no-deps --no-build-isolation -e . \
        || fail "pip could not install the environment: $(grep -i '^error' .venv/install.log | head -n 1)" \
            "(the whole log: $PWD/.venv/install.log)"
    environment_stamp >.venv/stamp
    say "The environment is ready ($((SECONDS - started)) s)"
}

# A caller's Python settings must not leak into the environment.
unset PYTHONPATH PYTHONHOME PYTHONSTARTUP

if [ ! -x .venv/bin/python ] || [ "$(cat .venv/stamp 2>/dev/null)" != "$(environment_stamp)" ]; then
    make_environment
fi
PYTHON=$PWD/.venv/bin/python
