#!/bin/sh
# Creates .venv and installs the locked dependencies and the project into it: compose/install.sh base|dev
# "base" runs the service, "dev" adds the tests' dependencies. With an NVIDIA GPU both also get the "voxtral" set,
# with a build of torch that fits the driver and the GPU; an empty CUDA_VISIBLE_DEVICES declines it.
# pip installs only files whose hashes are in the locks. TORCH names another build of torch (a requirement or a wheel),
# whose hash is not checked.
set -eu

fail() {
    printf '%s\n' "$1" >&2
    exit 1
}

# Whether the dependencies are locked for this version of Python.
fits() {
    "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))' 2>/dev/null
}

# The first candidate that fits.
find_python() {
    set -- python3 python3.14 python3.13 python3.12 python3.11
    [ -z "${PYTHON:-}" ] || set -- "$PYTHON"
    for candidate in "$@"; do
        if fits "$candidate"; then
            printf '%s\n' "$candidate"
            return
        fi
    done
    fail "Python 3.11, 3.12, 3.13 or 3.14 is needed and none is on the PATH; install one, or name it: make run PYTHON=/path/to/python3."
}

# CUDA sees none if its variable is empty or begins with a negative number.
has_gpu() {
    case ${CUDA_VISIBLE_DEVICES-0} in
    "" | -*) return 1 ;;
    esac
    [ -e /dev/nvidia0 ] || nvidia-smi --list-gpus >/dev/null 2>&1
}

# Shows a command's output only if the command fails. The output is kept in memory, since the disk may be full.
quietly() {
    if ! output=$("$@" 2>&1); then
        printf '%s\n' "$output" >&2
        case $output in
        *"THESE PACKAGES DO NOT MATCH THE HASHES"*) fail "An index serves a file that differs from the locked one (above); see \"Dependencies\" in CONTRIBUTING.md." ;;
        *"No space left on device"*) fail "The disk is full: free some space (about $needed_mb MB in $PWD) and try again." ;;
        *) fail "The dependencies could not be installed; the lines above say why." ;;
        esac
    fi
}

# The driver's major version; empty if it is not known.
driver() {
    nvidia-smi --query-gpu=driver_version --format=csv,noheader 2>/dev/null | sed -n '1s/^\([0-9][0-9]*\)\..*/\1/p'
}

# Whether a GPU is older than Turing (compute capability 7.5), for which CUDA 13 has no kernels, and none is newer than
# Hopper (9.0), for which 12.6 has none.
needs_older_cuda() {
    nvidia-smi --query-gpu=compute_cap --format=csv,noheader 2>/dev/null |
        awk '/^[0-9]/ { old = old || $1 < 7.5; new = new || $1 >= 10 } END { exit !(old && !new) }'
}

# The CUDA version of the torch to install: PyPI's build is for 13. Minor versions are compatible, so 12.6 runs on
# every driver for 12 and later.
cuda_for() {
    if [ "${1:-580}" -ge 580 ]; then
        if needs_older_cuda; then echo 12.6; else echo 13; fi
    elif [ "$1" -ge 525 ] || [ -n "${TORCH:-}" ]; then
        echo 12.6
    else
        fail "torch 2.13.0 is built for CUDA 12.6 or 13, which need NVIDIA driver 525 or newer, and this machine has driver $1: choose one with a newer driver, or use its CPU: make run CUDA_VISIBLE_DEVICES="
    fi
}

set_name=$1
locks="--requirement requirements/$set_name.txt"
needed_mb=1500
cuda=
duration="about a minute"
if has_gpu; then
    cuda=$(cuda_for "$(driver)")
    needed_mb=12000
    duration="several minutes, for 3 GB or more of CUDA and torch"
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

case $cuda in
13) locks="$locks --requirement requirements/voxtral.txt" ;;
12.6)
    awk '/^[a-z]/ { kept = /^nvidia-ml-py==/ || !/^((cuda|nvidia)-|(torch|triton)==)/ } /^#/ || kept' requirements/voxtral.txt >.venv/voxtral-without-torch.txt
    locks="$locks --requirement .venv/voxtral-without-torch.txt"
    ;;
esac

printf 'Installing the locked dependencies (%s%s) into .venv; the first time takes %s.\n' "$set_name" "${cuda:+, CUDA $cuda}" "$duration"
pip=".venv/bin/python -m pip --disable-pip-version-check --no-input install --quiet --only-binary :all:"
locked="$pip --require-hashes"

# Without a GPU, torch's CPU build if an index has it. PyPI's build of the same version brings CUDA.
install_torch_for_cpu() {
    if ! output=$($locked --no-deps --requirement requirements/torch-cpu.txt 2>&1); then
        case $output in
        *"No matching distribution found for torch"*) quietly $locked --requirement requirements/voxtral.txt ;;
        *) quietly fail "$output" ;;
        esac
    fi
}

# torch for older drivers and GPUs is not on PyPI. Hashes are checked if the lock has them.
install_torch_for_older_cuda() {
    checked=
    ! grep -q -- --hash= requirements/torch-cu126.txt || checked=--require-hashes
    quietly $pip $checked --extra-index-url https://download.pytorch.org/whl/cu126 --requirement requirements/torch-cu126.txt
}

quietly $locked $locks
if [ "$set_name" = dev ] || has_gpu; then
    if [ -n "${TORCH:-}" ]; then
        quietly $pip "$TORCH"
    elif ! has_gpu; then
        install_torch_for_cpu
    elif [ "$cuda" = 12.6 ]; then
        install_torch_for_older_cuda
    fi
fi
quietly $pip --no-deps --no-build-isolation --editable .
quietly .venv/bin/python -m worker.model_files
quietly .venv/bin/python -m compileall -q shared frontend worker compose # services of systemd cannot write here
[ "$set_name" = base ] || touch .venv/installed-base
touch ".venv/installed-$set_name"
