#!/bin/sh
# SPDX-License-Identifier: MIT
# lint.sh: the rules of the house that a machine can hold. One line a violation, `file:line: rule`;
# the last line counts them. `make lint` calls it with BUILD, CC and C_FLAGS.
set -u
LC_ALL=C
export LC_ALL
cd "$(dirname "$0")/.." || exit 1

build=${BUILD:-build}
cc=${CC:-gcc}
found=$(mktemp) || exit 1
trap 'rm -f "$found"' EXIT

files()
{
    for dir in src tests scripts web train; do
        [ -d "$dir" ] && find "$dir" -type f \( "$@" \)
    done | sort
}

c_files=$(files -name '*.c' -o -name '*.h' -o -name '*.def')
headers=$(files -name '*.h')
scripts=$(
    for f in start check .ci/run; do [ -f "$f" ] && echo "$f"; done
    find scripts tests train -type f ! -name '*.c' ! -name '*.h' -size -200k 2>/dev/null |
        xargs -r awk 'FNR == 1 && /^#!.*(\/sh|bash)/ { print FILENAME }' | sort
)

# shellcheck disable=SC2086 # lists of paths without blanks
awk -v floors=scripts/floors.txt -f scripts/lint-c.awk $c_files >>"$found"

# Every source and script says its licence in the first three lines.
spdx_files=$(
    echo "$c_files" "$scripts" Makefile
    files -name '*.py' -o -name '*.js' -o -name '*.mjs' -o -name '*.css' -o -name '*.html' -o -name '*.awk'
)
for f in $spdx_files; do
    head -n 3 "$f" | grep -q 'SPDX-License-Identifier: MIT' || echo "$f:1: no SPDX line" >>"$found"
done

# Each header compiles alone.
export cc flags
flags="${C_FLAGS:--std=c11 -D_GNU_SOURCE -Isrc -Wall -Wextra -Wno-unused-parameter} -Itests -Wno-error"
# shellcheck disable=SC2016 # for the inner shell
echo "$headers" | xargs -r -n 1 -P "$(nproc)" sh -c '
    eval "$cc $flags -fsyntax-only -x c \"$1\"" 2>/dev/null || echo "$1:1: does not compile alone"
' header >>"$found"

# The symbol says the file: x_y.c exports x_y, x_y_..., or x_... (variants of x); isa_<x>.c only
# isa_<x> and isa_<x>_....
for c in $(find src -name '*.c' | sort); do
    o=$build/${c%.c}.o
    if [ ! -f "$o" ]; then
        echo "$c:1: not compiled into $build, its symbols are unknown" >>"$found"
        continue
    fi
    stem=$(basename "$c" .c)
    nm --defined-only -g "$o" 2>/dev/null | awk -v stem="$stem" -v file="$c" '
        NF == 3 && $2 ~ /^[A-Z]$/ {
            s = $3
            if (stem == "main" && s == "main") next
            if (s == stem || s ~ /^(__asan|__odr_asan|__tsan|__start|__stop)/) next
            if (index(s, stem "_") == 1) next
            n = stem ~ /^isa_/ ? 0 : split(stem, part, "_")
            prefix = ""
            for (i = 1; i < n; i++) {
                prefix = prefix part[i] "_"
                if (index(s, prefix) == 1) next
            }
            print file ":1: exports " s ", which does not say the file"
        }' >>"$found"
done

# Each outside library behind one file of ours.
for lib in jansson libwebsockets 'openssl/[a-z]*' 'opus/*[a-z_]*' 'ogg/[a-z]*' sndfile soxr portaudio; do
    grep -rlE "^#include <$lib\.h>" src | sed 's/\.[ch]$//' | sort -u | sed 1d |
        sed "s|\$|.c:1: another file of ours already stands for <$lib.h>|" >>"$found"
done

if command -v clang-format-14 >/dev/null; then
    # shellcheck disable=SC2046 # paths without blanks
    clang-format-14 --dry-run $(files -name '*.c' -o -name '*.h') 2>&1 |
        awk -F: '/clang-format-violations/ { print $1 ":" $2 ": form, see clang-format-14" }' |
        sort -u >>"$found"
else
    echo "lint: clang-format-14 is not there, the form was not checked" >&2
fi
if command -v shellcheck >/dev/null; then
    # shellcheck disable=SC2086
    shellcheck -f gcc $scripts >>"$found"
else
    echo "lint: shellcheck is not there, the scripts were not checked" >&2
fi

sort -t: -k1,1 -k2,2n "$found"
n=$(wc -l <"$found")
echo "lint: $(echo "$c_files" | wc -l) C files, $n findings"
[ "$n" -eq 0 ]
