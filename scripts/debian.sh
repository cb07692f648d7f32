#!/bin/sh
# SPDX-License-Identifier: MIT
# debian.sh start|check: installs the Debian packages that ./start or ./check lacks, after saying
# which and why. Needs root or sudo, and the network, only when something is missing. What ./check
# alone needs is wished for: without it the tests that use it are skipped.
set -u

# PACKAGE | what shows that it is there (a command, or = for the package itself) | why
needed='
gcc                 | gcc        | compiles Parley
libc6-dev           | =          | headers of the C library
make                | make       | runs the build
pkgconf             | pkg-config | finds the libraries below
libwebsockets-dev   | =          | HTTP and WebSocket server
libssl-dev          | =          | TLS and hashes
libjansson-dev      | =          | JSON
libopus-dev         | =          | Opus audio
libogg-dev          | =          | Ogg pages around Opus
libsndfile1-dev     | =          | WAV and other audio files
libsoxr-dev         | =          | resampling
portaudio19-dev     | =          | sound card; loaded only when talk asks for it
'
wished='
libcmocka-dev       | =          | unit tests
libsimde-dev        | =          | tests of instruction sets that this machine lacks
clang-14            | clang-14   | second compiler, fuzzing
libclang-rt-14-dev  | =          | sanitizers and fuzzer of clang
clang-format-14     | clang-format-14 | checks the form of the code
shellcheck          | shellcheck | checks the scripts
python3             | python3    | comparison with the reference, end-to-end tests
chromium            | chromium   | tests of the page
pulseaudio          | pulseaudio | sound card for the tests of talk
pulseaudio-utils    | pactl      | wires it up
libasound2-plugins  | =          | lets PortAudio reach it
'

has()
{
    case $2 in
    =) [ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null)" = installed ] ;;
    *) command -v "$2" >/dev/null ;;
    esac
}

# Rows of the list $1 whose package is not there, as `package|why`.
missing()
{
    echo "$1" | tr -s ' ' | sed 's/ *| */|/g' | while IFS='|' read -r package shown why; do
        [ -z "$package" ] || has "$package" "$shown" || echo "$package|$why"
    done
}

apt()
{
    if [ "$(id -u)" -eq 0 ]; then
        env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300 "$@" >&2
    else
        sudo env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300 "$@" >&2
    fi
}

# A machine that has just started may be updating itself; only installing waits for that by itself.
update()
{
    apt update || { sleep 20 && apt update; } || { sleep 60 && apt update; }
}

# Lists of packages are fetched when there are none, or when they turn out to be too old.
fetch()
{
    if [ "$(id -u)" -ne 0 ] && ! command -v sudo >/dev/null; then
        echo "parley: neither root nor sudo; as root, run: apt-get install $*" >&2
        return 1
    fi
    find /var/lib/apt/lists -name '*Packages*' 2>/dev/null | grep -q . || update || return 1
    apt install --no-install-recommends "$@" && return
    echo 'parley: trying again with fresh lists of packages' >&2
    update && apt install --no-install-recommends "$@"
}

# Says what the list $1 lacks and installs it; $2 says who needs it.
provide()
{
    rows=$(missing "$1")
    [ -n "$rows" ] || return 0
    echo "parley: $2 needs Debian packages that are not here:" >&2
    echo "$rows" | awk -F'|' '{ printf "  %-20s %s\n", $1, $2 }' >&2
    # shellcheck disable=SC2046 # names without blanks
    fetch $(echo "$rows" | cut -d'|' -f1)
}

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    echo 'parley: not a Debian system; these packages are not checked for:' >&2
    echo "$needed" | awk -F'|' 'NF { printf "  %-20s %s\n", $1, $3 }' >&2
    exit 0
fi

if ! provide "$needed" ./start; then
    echo "parley: cannot go on without: $(missing "$needed" | cut -d'|' -f1 | tr '\n' ' ')" >&2
    exit 1
fi
[ "${1:-start}" = check ] || exit 0
provide "$wished" ./check && exit 0
[ "$(id -u)" -eq 0 ] || command -v sudo >/dev/null || exit 0
# All at once failed: one that this machine's sources lack must not keep out the others.
for package in $(missing "$wished" | cut -d'|' -f1); do
    apt install --no-install-recommends "$package" ||
        echo "parley: no $package; the tests that need it are skipped" >&2
done
exit 0
