#!/bin/sh
# SPDX-License-Identifier: MIT
# format.sh [FILE...]: puts C files (default: all) into the form that `make lint` asks for.
set -eu
cd "$(dirname "$0")/.."

if [ $# -eq 0 ]; then
    find src tests \( -name '*.c' -o -name '*.h' \) -exec clang-format-14 -i {} +
else
    clang-format-14 -i "$@"
fi
