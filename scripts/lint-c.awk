# SPDX-License-Identifier: MIT
# The rules that one C file can be held to by itself; `file:line: rule` for each violation.
# -v floors=scripts/floors.txt; arguments are paths from the root of the tree.
function say(rule) { print FILENAME ":" FNR ": " rule }

function load_floors(    line, n, word, i) {
    while ((getline line < floors) > 0) {
        if (line ~ /^#/ || line !~ /:/) continue
        n = split(line, word, /[ \t:]+/)
        is_room[word[1]] = 1
        allowed[word[1] "/" word[1]] = 1
        for (i = 2; i <= n; i++) if (word[i] != "") allowed[word[1] "/" word[i]] = 1
    }
}

# The line without strings, characters and comments; remembers an open comment.
function code_of(s,    out, c, d, i, len, quote) {
    out = ""; quote = ""; len = length(s)
    for (i = 1; i <= len; i++) {
        c = substr(s, i, 1); d = substr(s, i, 2)
        if (in_comment) { if (d == "*/") { in_comment = 0; i++ }; continue }
        if (quote != "") { if (c == "\\") i++; else if (c == quote) quote = ""; continue }
        if (d == "/*") { in_comment = 1; i++; continue }
        if (d == "//") break
        if (c == "\"" || c == "'") { quote = c; out = out c; continue }
        out = out c
    }
    return out
}

function check_include(name,    room) {
    sub(/^[ \t]*#[ \t]*include[ \t]*/, "", name)
    if (name ~ /^"/) {
        sub(/^"/, "", name); sub(/".*/, "", name)
        room = name; sub(/\/.*/, "", room)
        if (own_header != "" && !n_include && name != own_header) say("own header first: " own_header)
        if (my_room == "") return
        if (name !~ /\//) say("include by room: \"" my_room "/" name "\"")
        else if (!(room in is_room)) say("room '" room "' is not in floors.txt")
        else if (!((my_room "/" room) in allowed) && !((my_room "/*") in allowed))
            say("floors: " my_room " may not include " room)
        return
    }
    if (own_header != "" && !n_include) say("own header first: " own_header)
    if (my_room == "" || name !~ /^</) return
    sub(/^</, "", name); sub(/>.*/, "", name)
    if (name in is_std) return
    if (FILENAME ~ /^src\/(base\/os_|device\/|hub\/|server\/)/) return
    if (name ~ /^(jansson|opus|ogg|sndfile|soxr|opus\/|ogg\/)/) return
    if (name ~ /^(immintrin|arm_neon|cpuid)\.h$/ && FILENAME ~ /^src\/kernel\//) return
    say("system header <" name "> outside base/os_*, device, hub, server")
}

function start_file(    header) {
    in_comment = in_function = n_include = 0
    my_room = ""; own_header = ""
    if (FILENAME ~ /^src\//) {
        my_room = substr(FILENAME, 5); sub(/\/.*/, "", my_room)
        if (!(my_room in is_room)) say("room '" my_room "' is not in floors.txt")
        if (FILENAME ~ /\.c$/) {
            header = FILENAME; sub(/\.c$/, ".h", header)
            if ((getline line < header) >= 0) { own_header = substr(header, 5); close(header) }
        }
    }
}

BEGIN {
    load_floors()
    n = split("assert complex ctype errno fenv float inttypes iso646 limits locale math setjmp signal " \
              "stdalign stdarg stdatomic stdbool stddef stdint stdio stdlib stdnoreturn string tgmath " \
              "threads time uchar wchar wctype", name, " ")
    for (i = 1; i <= n; i++) is_std[name[i] ".h"] = 1
}

FNR == 1 { start_file() }
FNR == 901 { say("file longer than 900 lines") }
/\t/ { say("tab") }
/[ ]$/ { say("blank at the end of the line") }
{
    wide = $0
    gsub(/[\200-\277]/, "", wide) # a UTF-8 character is one column
    if (length(wide) > 100 && FILENAME !~ /\.def$/) say("line longer than 100 columns: " length(wide))
    was_in_comment = in_comment
    code = code_of($0)
}
/^[ \t]*#[ \t]*include/ && !was_in_comment { check_include($0); n_include++ }
code ~ /^\{/ { in_function = FNR }
code ~ /^\}/ {
    if (in_function && FNR - in_function + 1 > 100)
        say("function longer than 100 lines: " FNR - in_function + 1)
    in_function = 0
}
in_function && code ~ /^[ \t]*#[ \t]*if/ { say("#if inside a function: another file, or a table") }
code ~ /(^|[^A-Za-z0-9_])(v?sprintf|strcpy|strcat|strtok|atoi|gets|alloca)[ \t]*\(/ { say("banned function") }
code ~ /(^|[^A-Za-z0-9_.>])(malloc|calloc|realloc|free|strdup|strndup|aligned_alloc|posix_memalign)[ \t]*\(/ &&
    FILENAME ~ /^src\// && FILENAME != "src/base/mem.c" { say("heap only through base/mem.h") }
/spec\/|[Dd]esign [0-9]/ {
    say("cites a document that is not in the repository")
}
code ~ /(^|[^A-Za-z0-9_])(TODO|FIXME|XXX)/ || $0 ~ /(TODO|FIXME)/ { say("lone TODO") }
