# Flattens the YAML or JSON that seeds are written in to lines "path<TAB>value", with "/" between keys and numbers for
# items:
#   ethernets/eth0/addresses/0<TAB>10.0.0.5/32
# Understands block maps and lists, flow maps and lists (also over several lines, hence JSON), quotes, comments and
# block text (joined to one line). Not anchors, tags or several documents: seeds have none.
# In a bracket expression "]" stands first and nothing is escaped: busybox hands it to the C library as it is.

function hex(s,    i, n) {
    for (i = 1; i <= length(s); i++) n = n * 16 + index("0123456789abcdef", tolower(substr(s, i, 1))) - 1
    return n
}

# The character of a code point below 65536 as UTF-8. One that would end the line or the path becomes a blank.
function character(n) {
    if (n < 32 || n == 127) return " "
    if (n < 128) return sprintf("%c", n)
    if (n < 2048) return sprintf("%c%c", 192 + int(n / 64), 128 + n % 64)
    return sprintf("%c%c%c", 224 + int(n / 4096), 128 + int(n / 64) % 64, 128 + n % 64)
}

# What stands between double quotes.
function unescape(s,    i, c, out) {
    if (index(s, "\\") == 0) return s
    for (i = 1; i <= length(s); i++) {
        c = substr(s, i, 1)
        if (c != "\\") { out = out c; continue }
        c = substr(s, ++i, 1)
        if (c == "u") { out = out character(hex(substr(s, i + 1, 4))); i += 4 }
        else if (c ~ /[nrtbf]/) out = out " "
        else out = out c
    }
    return out
}

function unquote(s) {
    if (s ~ /^".*"$/) return unescape(substr(s, 2, length(s) - 2))
    if (s ~ /^'.*'$/) return substr(s, 2, length(s) - 2)
    return s
}

# Cuts a comment: a "#" at the start or after a blank, outside quotes.
function uncomment(s,    i, c, quote) {
    for (i = 1; i <= length(s); i++) {
        c = substr(s, i, 1)
        if (quote == "\"" && c == "\\") i++
        else if (quote != "") { if (c == quote) quote = "" }
        else if ((c == "\"" || c == "'") && (i == 1 || substr(s, i - 1, 1) ~ /[ \t:,[{]/)) quote = c
        else if (c == "#" && (i == 1 || substr(s, i - 1, 1) ~ /[ \t]/)) { s = substr(s, 1, i - 1); break }
    }
    sub(/[ \t\r]+$/, "", s)
    return s
}

# How many brackets of a flow value are still open.
function open_brackets(s,    i, c, quote, depth) {
    for (i = 1; i <= length(s); i++) {
        c = substr(s, i, 1)
        if (quote == "\"" && c == "\\") i++
        else if (quote != "") { if (c == quote) quote = "" }
        else if (c == "\"" || c == "'") quote = c
        else if (c ~ /[[{]/) depth++
        else if (c ~ /[]}]/) depth--
    }
    return depth + 0
}

function blanks() { while (substr(flow, at, 1) ~ /^[ \t]$/) at++ }

# One scalar of the flow value, up to a delimiter.
function token(    c, start, s) {
    c = substr(flow, at, 1)
    start = at
    if (c == "\"" || c == "'") {
        at++
        while (at <= length(flow) && substr(flow, at, 1) != c) at += (c == "\"" && substr(flow, at, 1) == "\\") ? 2 : 1
        s = substr(flow, start + 1, at - start - 1)
        at++
        return c == "\"" ? unescape(s) : s
    }
    while (at <= length(flow)) {
        c = substr(flow, at, 1)
        if (c ~ /[],}]/ || (c == ":" && substr(flow, at + 1, 1) ~ /^[], }]?$/)) break
        at++
    }
    s = substr(flow, start, at - start)
    sub(/[ \t]+$/, "", s)
    return s
}

function flow_value(path,    c, i, key) {
    blanks()
    c = substr(flow, at, 1)
    if (c == "[") {
        at++
        for (i = 0; at <= length(flow); i++) {
            blanks()
            if (substr(flow, at, 1) == "]") break
            flow_value(path "/" i)
            blanks()
            if (substr(flow, at, 1) == ",") at++
            else if (substr(flow, at, 1) != "]") break
        }
        at++
    } else if (c == "{") {
        at++
        while (at <= length(flow)) {
            blanks()
            if (substr(flow, at, 1) == "}") break
            key = token()
            blanks()
            if (substr(flow, at, 1) == ":") at++
            flow_value((path == "" ? "" : path "/") key)
            blanks()
            if (substr(flow, at, 1) == ",") at++
            else if (substr(flow, at, 1) != "}") break
        }
        at++
    } else print path "\t" token()
}

function path_here(    i, p) {
    for (i = 1; i <= depth; i++) p = p (i > 1 ? "/" : "") name[i]
    return p
}

function push(at_indent, is_item, its_name) {
    depth++
    indent[depth] = at_indent
    item[depth] = is_item
    name[depth] = its_name
    items[depth + 1] = 0
}

# A value that stands on its line: a flow value, the head of a block text, or a scalar.
function value(s, at_indent) {
    if (s ~ /^[[{]/) {
        flow_path = path_here()
        flow = s
        if (open_brackets(flow) > 0) { collecting = 1; return }
        at = 1
        flow_value(flow_path)
    } else if (s ~ /^[|>][-+0-9]*$/) {
        text_indent = at_indent
        text_path = path_here()
        text = ""
        in_text = 1
    } else print path_here() "\t" unquote(s)
}

function end_text() { if (in_text) print text_path "\t" text; in_text = 0 }

{
    sub(/\r$/, "")
    match($0, /^ */)
    i = RLENGTH
    if (in_text) {
        if ($0 ~ /^[ \t]*$/) next
        if (i > text_indent) { text = text (text == "" ? "" : " ") substr($0, i + 1); next }
        end_text()
    }
    line = uncomment(substr($0, i + 1))
    if (line == "" || line == "---" || line == "...") next
    if (collecting) {
        flow = flow " " line
        if (open_brackets(flow) > 0) next
        collecting = 0
        at = 1
        flow_value(flow_path)
        next
    }
    while (line ~ /^-( |$)/) {
        # A list may stand at the same indent as its key.
        while (depth > 0 && (indent[depth] > i || (indent[depth] == i && item[depth]))) depth--
        push(i, 1, items[depth + 1]++)
        # push() cleared the counter below; its own counter goes on.
        match(line, /^- */)
        i += RLENGTH
        line = substr(line, RLENGTH + 1)
        if (line == "") next
        fresh = 1
    }
    if (match(line, /^("[^"]*"|'[^']*'|[A-Za-z0-9_.\/-]+)[ ]*:( |$)/)) {
        # The map inside a list item starts deeper than the item, so this never pops it.
        while (depth > 0 && indent[depth] >= i) depth--
        key = line
        rest = substr(line, RLENGTH + 1)
        key = substr(line, 1, RLENGTH)
        sub(/[ ]*:[ ]*$/, "", key)
        push(i, 0, unquote(key))
        sub(/^[ \t]+/, "", rest)
        if (rest != "") value(rest, i)
    } else value(line, depth > 0 ? indent[depth] : 0)
}

END { end_text() }
