#!/bin/sh
# SPDX-License-Identifier: MIT
# run-tests.sh BUILD TEST...: runs test programs (tests/check.h, TAP on stdout) one after the other.
# Prints `ok name`, `FAIL name file:line ...` and `skip name: reason`, then each skipped test once
# more, and ends with `N passed, N failed, N skipped`. TEST_FILTER keeps the tests whose name
# contains it; that none does is a failure. V=1 shows what the programs print.
set -u
LC_ALL=C
export LC_ALL

build=$1
shift
prefix=
case $build in
*san-*thread*)
    # Old ThreadSanitizer run-times give up on kernels that spread addresses widely.
    setarch "$(uname -m)" -R true 2>/dev/null && prefix="setarch $(uname -m) -R"
    ;;
esac

PARLEY_TEST_TMP=$(mktemp -d "${TMPDIR:-/tmp}/parley-test.XXXXXX") || exit 1
notes=$(mktemp -d "$build/run-tests.XXXXXX") || exit 1
results=$notes/results
out=$notes/out
trap 'rm -rf "$PARLEY_TEST_TMP" "$notes"' EXIT
trap 'exit 130' INT TERM
: >"$results" || exit 1

PARLEY_MEM_STRICT=1
ASAN_OPTIONS=allocator_may_return_null=1:detect_leaks=1${ASAN_OPTIONS:+:$ASAN_OPTIONS}
TSAN_OPTIONS=allocator_may_return_null=1:halt_on_error=1${TSAN_OPTIONS:+:$TSAN_OPTIONS}
UBSAN_OPTIONS=print_stacktrace=1${UBSAN_OPTIONS:+:$UBSAN_OPTIONS}
export PARLEY_TEST_TMP PARLEY_MEM_STRICT ASAN_OPTIONS TSAN_OPTIONS UBSAN_OPTIONS

for test in "$@"; do
    # In the group of whoever runs this, so that their limit and their Ctrl-C reach it.
    # shellcheck disable=SC2086 # prefix and filter are words
    timeout --foreground -k 5 "${TEST_TIMEOUT_S:-300}" $prefix "$test" ${TEST_FILTER:-} >"$out" 2>"$out.err" </dev/null
    code=$?
    awk -v file="${test#"$build"/}" -v code="$code" '
        function flush() {
            if (failed != "") print "FAIL " failed (why != "" ? " " why : " " file)
            failed = ""; why = ""
        }
        /^1\.\.[0-9]+$/ { n_plan = substr($0, 4) + 0; next }
        /^# skip: / { reason = substr($0, 9); next }
        /^(not )?ok [0-9]+ # SKIP / {
            flush(); sub(/^.*# SKIP /, ""); n++
            print "skip " $0 ": " (reason != "" ? reason : "no reason given"); reason = ""; next
        }
        /^ok [0-9]+ - / { flush(); sub(/^ok [0-9]+ - /, ""); n++; print "ok " $0; early = ""; next }
        /^not ok [0-9]+ - / {
            flush(); sub(/^not ok [0-9]+ - /, ""); n++
            failed = $0; why = early; early = ""; next
        }
        /^# not ok - / { next }
        /^# [^ ]+:[0-9]+: / && failed == "" { if (early == "") early = substr($0, 3); next }
        /^# / && failed != "" && why == "" { why = substr($0, 3) }
        END {
            flush()
            if (code == 124 || code == 137) print "FAIL " file " took too long"
            else if (n < n_plan)
                print "FAIL " file " ended after " n + 0 " of " n_plan " tests, exit " code
            else if (code != 0 && code != 1)
                print "FAIL " file " exit " code
            else if (NR == 0) print "FAIL " file " said nothing"
        }' "$out" >"$out.lines" || exit 1
    if [ "$code" -eq 1 ] && ! grep -q '^FAIL ' "$out.lines"; then
        echo "FAIL ${test#"$build"/} exit 1, yet every test passed: a leak?" >>"$out.lines"
    fi
    cat "$out.lines" >>"$results" || exit 1
    cat "$out.lines"
    if [ -n "${V:-}" ]; then cat "$out"; fi
    if [ -n "${V:-}" ] || grep -q '^FAIL ' "$out.lines"; then tail -n 60 "$out.err" >&2; fi
    rm -f "$out" "$out.err" "$out.lines"
done

if [ ! -s "$results" ]; then
    echo "FAIL no test ran${TEST_FILTER:+: none has $TEST_FILTER in its name}" | tee "$results"
fi

n_ok=$(grep -c '^ok ' "$results")
n_fail=$(grep -c '^FAIL ' "$results")
n_skip=$(grep -c '^skip ' "$results")
grep '^skip ' "$results" | sed 's/^skip /skipped: /'
grep '^FAIL ' "$results" | sed 's/^FAIL /failed: /'
echo "$n_ok passed, $n_fail failed, $n_skip skipped"
[ "$n_fail" -eq 0 ]
