#!/bin/sh
# SPDX-License-Identifier: MIT
# embed-web.sh DIR OUT.c: every file below DIR as a row of web_files[] (src/server/web_files.h).
# Only od, awk and sed, which a bare Debian has.
set -eu
LC_ALL=C
export LC_ALL

dir=$1
out=$2
tmp=$out.tmp

content_type()
{
    case $1 in
    *.html) echo 'text/html; charset=utf-8' ;;
    *.js | *.mjs) echo 'text/javascript; charset=utf-8' ;;
    *.css) echo 'text/css; charset=utf-8' ;;
    *.json) echo 'application/json' ;;
    *.webmanifest) echo 'application/manifest+json' ;;
    *.svg) echo 'image/svg+xml' ;;
    *.png) echo 'image/png' ;;
    *.ico) echo 'image/x-icon' ;;
    *.woff2) echo 'font/woff2' ;;
    *.wasm) echo 'application/wasm' ;;
    *.txt | *.md) echo 'text/plain; charset=utf-8' ;;
    *) echo 'application/octet-stream' ;;
    esac
}

quote()
{
    printf '%s' "$1" | sed 's/[\\"]/\\&/g'
}

{
    echo '/* SPDX-License-Identifier: MIT */'
    echo '/* Made by scripts/embed-web.sh; do not edit. */'
    echo '#include "server/web_files.h"'
    rows=
    n=0
    [ -d "$dir" ] && files=$(cd "$dir" && find . -type f ! -name '.*' | sed 's|^\./||' | sort) || files=
    while IFS= read -r name; do
        [ -n "$name" ] || continue
        # A C array cannot be empty: one byte more than the length, never sent.
        echo "static const unsigned char file_${n}[] = {"
        od -An -v -tu1 "$dir/$name" | awk '{ for (i = 1; i <= NF; i++) printf "%s,", $i; print "" }'
        echo '0 };'
        hash=$(sha256sum <"$dir/$name" | cut -c1-16)
        rows="$rows    { \"$(quote "$name")\", \"$(content_type "$name")\", file_$n, sizeof file_$n - 1, \"\\\"$hash\\\"\" },
"
        n=$((n + 1))
    done <<EOF
$files
EOF
    echo 'const struct web_file web_files[] = {'
    printf '%s' "$rows"
    echo '    { NULL, NULL, NULL, 0, NULL },'
    echo '};'
} >"$tmp"
mv "$tmp" "$out"
