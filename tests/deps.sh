#!/bin/bash
# deps.sh - the packages psa needs, and what to do about the missing ones.
#
#   tests/deps.sh install SET...   Debian and its kin: say what will be installed and install it with apt-get (by sudo
#                                  when not root). Elsewhere: name the packages and stop. Silent when nothing is missing.
#   tests/deps.sh check SET...     only say what is missing; status 1 then
#
# A set is one of build, run, test, lint, bench, units, hw.
# shellcheck disable=SC2034 # the sets are read by their names
set -euo pipefail

# Debian's names. libc6-dbg: valgrind cannot follow the C library without it. libclang-rt-dev: libFuzzer itself.
build='g++ pkg-config libfftw3-dev libmosquitto-dev libssl-dev libcurl4-openssl-dev libsndfile1-dev libi2c-dev libiio-dev libjq-dev liblapacke-dev libopenblas-serial-dev'
run='jq gnuplot-nox libiio0'
lint='clang-format clang-tidy cppcheck shellcheck mandoc groff-base'
test="libcmocka-dev bats jq valgrind libc6-dbg clang libclang-rt-dev locales python3 python3-scipy python3-sklearn python3-pandas python3-statsmodels python3-soundfile mosquitto mosquitto-clients openssl libiio0 umockdev libumockdev-dev libglib2.0-dev $lint"
bench='jq miller time mosquitto mosquitto-clients python3 python3-scipy'
units='mmdebstrap systemd-container systemd util-linux'
# tests/hw/prepare.sh takes a kernel apart and builds modules for it. jq and libiio0 go into the guests.
hw='qemu-system-x86 busybox-static cpio kmod make gcc libc6-dev binutils xz-utils jq libiio0'

fail() {
    printf 'deps: %s\n' "$*" >&2
    exit 1
}

is_installed() {
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

# The packages of the sets that are not installed, each once. pkg-config is what pkgconf provides on newer systems.
missing_packages() {
    local package
    for package in $(printf '%s\n' "$@" | tr ' ' '\n' | sort -u); do
        is_installed "$package" && continue
        [ "$package" = pkg-config ] && is_installed pkgconf && continue
        printf '%s ' "$package"
    done
}

# The headers of the kernel that is there to download. A machine whose lists are not fetched yet gets the newest, and with it
# the lists.
kernel_headers() {
    local headers
    headers=$(apt-cache depends linux-headers-amd64 2>/dev/null | sed -n 's/^ *Depends: *//p' | head -n 1)
    printf '%s' "${headers:-linux-headers-amd64}"
}

has_candidate() {
    apt-cache policy "$1" 2>/dev/null | grep -q 'Candidate: [^(]'
}

install_packages() {
    local as_root=() package
    if [ "$(id -u)" != 0 ]; then
        command -v sudo >/dev/null || fail "not root and no sudo; install as root: apt-get install $*"
        as_root=(sudo)
    fi
    as_root+=(env DEBIAN_FRONTEND=noninteractive)
    printf 'deps: installing with apt-get: %s\n' "$*" >&2
    for package in "$@"; do
        if ! has_candidate "$package"; then
            "${as_root[@]}" apt-get -qq update
            break
        fi
    done
    # Lists that are there but old name files that are gone: once more with new ones.
    "${as_root[@]}" apt-get -qq -y --no-install-recommends install "$@" >/dev/null ||
        { "${as_root[@]}" apt-get -qq update &&
            "${as_root[@]}" apt-get -qq -y --no-install-recommends install "$@" >/dev/null; } ||
        fail "apt-get could not install: $*"
}

# Not Debian: look for the programs and headers themselves, so that a system that has them all goes on.
missing_elsewhere() {
    local set library
    for set in "$@"; do
        case $set in
        build)
            command -v c++ >/dev/null || command -v g++ >/dev/null || printf 'a C++ compiler, '
            { ${PKG_CONFIG:-pkg-config} --exists fftw3 || [ -e /usr/include/fftw3.h ]; } 2>/dev/null ||
                printf 'fftw3 (headers), '
            [ -e /usr/include/i2c/smbus.h ] || printf 'libi2c (headers), '
            [ -e /usr/include/jq.h ] || [ -e /usr/local/include/jq.h ] || printf 'libjq (headers), '
            [ -e /usr/include/lapacke.h ] || ${PKG_CONFIG:-pkg-config} --exists lapacke 2>/dev/null || printf 'lapacke and OpenBLAS (headers), '
            for library in libiio libmosquitto libssl libcurl sndfile; do
                ${PKG_CONFIG:-pkg-config} --exists "$library" 2>/dev/null || printf '%s (headers), ' "$library"
            done
            ;;
        run)
            command -v jq >/dev/null || printf 'jq, '
            command -v gnuplot >/dev/null || printf 'gnuplot, '
            ;;
        test)
            { ${PKG_CONFIG:-pkg-config} --exists cmocka || [ -e /usr/include/cmocka.h ]; } 2>/dev/null ||
                printf 'cmocka (headers), '
            ;;
        lint) command -v clang-format >/dev/null || printf 'clang-format, clang-tidy, cppcheck, shellcheck, mandoc, ' ;;
        bench) command -v mlr >/dev/null || printf 'miller, ' ;;
        esac
    done
}

verb=${1:?install or check}
shift
packages=
for set in "$@"; do
    case $set in
    build | run | test | lint | bench | units) packages+=" ${!set}" ;;
    hw) packages+=" $hw $(kernel_headers)" ;;
    *) fail "no such set: $set" ;;
    esac
done

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    missing=$(missing_elsewhere "$@")
    [ -z "$missing" ] || fail "missing: ${missing%, }. Debian's names of all that is needed:$packages"
    exit 0
fi

missing=$(missing_packages "$packages")
[ -n "$missing" ] || exit 0
[ "$verb" = install ] || fail "missing: ${missing% }; run: make deps"
# shellcheck disable=SC2086 # a list of words
install_packages $missing
