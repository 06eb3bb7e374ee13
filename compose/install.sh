#!/bin/sh
# Creates .venv and installs the locked dependencies and the project into it: compose/install.sh base|dev
# "base" is what runs the service, "dev" adds what tests it. With an NVIDIA GPU both also get the "voxtral" set.
# pip installs only files whose hashes are in the locks. TORCH names another build of torch (a requirement or a wheel),
# whose hash is not checked.
set -eu

fail() {
    printf '%s\n' "$1" >&2
    exit 1
}

# Whether this Python is one for which the dependencies are locked.
fits() {
    "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))' 2>/dev/null
}

# The first of the candidates that fits.
find_python() {
    for candidate in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11}; do
        if fits "$candidate"; then
            printf '%s\n' "$candidate"
            return
        fi
    done
    fail "Python 3.11, 3.12, 3.13 or 3.14 is needed and none is on the PATH; install one, or name it: make run PYTHON=/path/to/python3."
}

has_gpu() {
    [ -e /dev/nvidia0 ] || nvidia-smi --list-gpus >/dev/null 2>&1
}

# What a command prints matters only when it fails; its output is kept in memory, since the disk may be what is full.
quietly() {
    if ! output=$("$@" 2>&1); then
        printf '%s\n' "$output" >&2
        case $output in
        *"THESE PACKAGES DO NOT MATCH THE HASHES"*) fail "An index serves another file than the locked one (above); \"Dependencies\" in CONTRIBUTING.md says what to do." ;;
        *"No space left on device"*) fail "The disk is full: free some space (about $needed_mb MB in $PWD) and try again." ;;
        *) fail "The dependencies could not be installed; the lines above say why." ;;
        esac
    fi
}

set_name=$1
locks="--requirement requirements/$set_name.txt"
needed_mb=1500
if has_gpu; then
    locks="$locks --requirement requirements/voxtral.txt"
    needed_mb=12000
fi

if ! fits .venv/bin/python || ! .venv/bin/python -c 'import pip' 2>/dev/null; then
    python=$(find_python)
    "$python" -c 'import ensurepip, venv' 2>/dev/null ||
        fail "$python lacks its venv module; on Debian and Ubuntu the package python3-venv provides it."
    free_mb=$(df -Pm . | awk 'NR == 2 { print $4 }')
    [ "$free_mb" -ge "$needed_mb" ] ||
        fail "The disk of $PWD has $free_mb MB free; the installation needs about $needed_mb MB."
    quietly "$python" -m venv --clear .venv
fi

printf 'Installing the locked dependencies (%s) into .venv; the first time takes about a minute.\n' "$set_name"
pip=".venv/bin/python -m pip --disable-pip-version-check --no-input install --quiet --only-binary :all:"
locked="$pip --require-hashes"

# Without a GPU, torch's CPU build where an index has it. PyPI's build for the same version brings CUDA.
install_torch_for_cpu() {
    if ! output=$($locked --no-deps --requirement requirements/torch-cpu.txt 2>&1); then
        case $output in
        *"No matching distribution found for torch"*) quietly $locked --requirement requirements/voxtral.txt ;;
        *) quietly fail "$output" ;;
        esac
    fi
}

quietly $locked $locks
if [ "$set_name" = dev ] || has_gpu; then
    if [ -n "${TORCH:-}" ]; then
        quietly $pip "$TORCH"
    elif ! has_gpu; then
        install_torch_for_cpu
    fi
fi
quietly $pip --no-deps --no-build-isolation --editable .
[ "$set_name" = base ] || touch .venv/installed-base
touch ".venv/installed-$set_name"
