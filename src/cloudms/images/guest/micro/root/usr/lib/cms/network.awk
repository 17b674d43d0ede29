# network-config version 2 (netplan's words), block or [a, b] lists, as flat lines: card NAME, mac, address, gateway, dns …
function indent(text) { match(text, /^ */); return RLENGTH }
function clean(text) {
    sub(/^[ \t]+/, "", text); sub(/[ \t]+(#.*)?$/, "", text)
    if (text ~ /^".*"$/ || text ~ /^'.*'$/) text = substr(text, 2, length(text) - 2)
    return text
}
function emit(word, text,   parts, count, i) {
    if (text ~ /^\[.*\]$/) {
        count = split(substr(text, 2, length(text) - 2), parts, ",")
        for (i = 1; i <= count; i++) if (clean(parts[i]) != "") print word, clean(parts[i])
    } else if (text != "") print word, clean(text)
}
function route(   to) {
    if (route_via == "") return
    if (route_to == "default" || route_to == "0.0.0.0/0") print "gateway", route_via
    else if (route_to != "") print "route", route_to, route_via
    route_to = route_via = ""
}
function ignored(what) { print "cms: network-config: " what " is ignored" > "/dev/stderr" }

/^[ \t]*(#|$)/ { next }
{
    depth = indent($0); line = substr($0, depth + 1); item = 0
    if (line ~ /^- /) { item = 1; sub(/^- +/, "", line); item_depth = depth }
    key = ""; value = line
    # a MAC address has colons too: a key ends with a colon and a space, or with the colon at the end of the line
    if (match(line, /^[A-Za-z0-9_.-]+:( |$)/)) {
        key = substr(line, 1, RLENGTH); sub(/: *$/, "", key)
        value = clean(substr(line, RLENGTH + 1))
    } else value = clean(line)

    if (key == "network") next
    if (key == "version" && !in_ethernets) { if (value != 2) ignored("version " value); next }
    if (key == "ethernets") { in_ethernets = 1; top = depth; card_depth = -1; next }
    if (!in_ethernets) { if (key != "renderer" && key != "config") ignored(key); next }
    if (depth <= top && !item) { route(); in_ethernets = 0; ignored(key); next }
    if (card_depth < 0) card_depth = depth
    if (depth == card_depth && !item) { route(); print "card", key; section = ""; sub_section = ""; body = -1; mac = ""; name = ""; next }
    if (body < 0) body = depth
    if (depth == body && !item) {
        route(); section = key; sub_section = ""
        if (value == "") next
        if (key == "dhcp4") { if (value == "true" || value == "yes") print "dhcp", "4" }
        else if (key == "addresses") emit("address", value)
        else if (key == "gateway4") print "gateway", value
        else if (key == "mtu") print "mtu", value
        else if (key == "set-name") { if (mac != "") print "rename", value; else name = value }
        else if (value != "false" && key != "optional") ignored(key)
        next
    }
    if (section == "match") {
        if (key == "macaddress") { mac = tolower(value); print "mac", mac; if (name != "") print "rename", name }
        else ignored("match " key)
        next
    }
    if (section == "addresses" && item && key == "") { print "address", value; next }
    if (section == "nameservers") {
        if (key != "") sub_section = key
        word = (sub_section == "search") ? "search" : "dns"
        if (value != "" && value != key) emit(word, value)
        next
    }
    if (section == "routes") {
        if (item) route()
        if (key == "to") route_to = value
        else if (key == "via") route_via = value
        else if (key != "metric") ignored("route " key)
        next
    }
    ignored(section)
}
END { route() }
