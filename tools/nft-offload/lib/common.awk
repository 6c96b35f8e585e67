# SPDX-License-Identifier: GPL-2.0-only
#
# What all programs of nft-offload share: it reads status, stats, policy and rejects of the
# engines, and the facts of facts() in system.sh. Engines are E[1 to NE], their values
# S["engine file key"], ports 1 to NP, flowtables 1 to NT. What a program has to know of the
# command line is in its environment.

BEGIN {
	if ((WANTED = ENVIRON["ADDR"]) != "") {
		if (n = index(WANTED, "/")) {
			WANTED_BITS = substr(WANTED, n + 1)
			WANTED = substr(WANTED, 1, n - 1)
		}
		WANTED = endpoint(WANTED)
		WANTED_PORT = PORT
	}
	WANTED_PROTO = ENVIRON["o_proto"]
	RELOAD = ENVIRON["RELOAD"]
	SCHEMA = ENVIRON["SCHEMA"]
	WITH_JSON = ENVIRON["o_json"] != ""
}

# What files() says of what follows.
$1 == "@file" {
	ENGINE = $2
	FILE = $3
	FACTS = FILE == "-"
	READ[ENGINE, FILE]
	if (!FACTS && !(ENGINE in SEEN)) { SEEN[ENGINE]; E[++NE] = ENGINE }
	next
}
$1 == "@unread" {
	text = substr($0, index($0, ": ") + 2)
	if ($3 == ENVIRON["NEED"] ":") { CANNOT = text; exit }
	UNREAD[++NU] = text
	delete READ[ENGINE, FILE]
	UNREAD_ENGINE[NU] = $2
	next
}
END {
	if (CANNOT != "") {
		print "nft-offload: " CANNOT >"/dev/stderr"
		exit 3
	}
}
FILE == "status" {
	n = index($0, ": ")
	if (/^port /) port(substr($0, 6, n - 6), substr($0, n + 2))
	else put(substr($0, 1, n - 1), substr($0, n + 2))
}
FILE == "stats" { put($1, $2) }
FILE == "policy" { put($1, $2) }
FILE == "rejects" && $1 != "flow" {
	put($1, $2)
	LAST[ENGINE " " $1] = $3
	text = $0
	for (n = 0; n < 3; n++) sub(/^[^ \t]+[ \t]*/, "", text)
	SAYS[$1] = text
}
FACTS && $1 == "flowtable" {
	FT[++NT] = $2; FT_OFFLOAD[NT] = $3 == "offload"; FT_COUNTER[NT] = $4 == "counter"; FT_RULE[NT] = $5
	FT_DEVS[NT] = " "
	for (n = 6; n <= NF; n++) FT_DEVS[NT] = FT_DEVS[NT] $n " "
}
FACTS && $1 == "have" { HAVE[$2]; DEVICE[++ND] = $2 }
FACTS && $1 == "kind" { KIND[$2] = $3 }
FACTS && $1 == "address" { ADDRESS[$2] }
FACTS && $1 == "lower" { LOWER[$2] = LOWER[$2] " " $3; UPPER[$3] = UPPER[$3] " " $2 }
FACTS && $1 == "net" { NET[$2] = $3 " " $4 " " $5 " " $6 }
FACTS && $1 == "no-ruleset" { NO_RULESET = 1 }

# KEY[file, 1 to KEY[file]] are the keys of a file, in its order.
function put(k, v) {
	if (!((FILE, k) in SEEN)) { SEEN[FILE, k]; KEY[FILE, ++KEY[FILE]] = k }
	S[ENGINE " " FILE " " k] = v
}

function port(name, text,   n, w, i) {
	split(text, w, " ")
	PORT_ENGINE[++NP] = ENGINE
	PORT_NAME[NP] = name
	i = w[1] ~ /^..:..:..:..:..:..$/ ? 2 : 1
	PORT_MAC[NP] = i == 2 ? w[1] : ""
	PORT_LINK[NP] = w[i + 1] ~ /^(up|down)$/ ? w[i + 1] : ""
	PORT_DEV[NP] = PORT_LINK[NP] != "" ? w[i] : ""
	kv(text)
	PORT_TABLES[NP] = "flowtables" in V ? V["flowtables"] : ""
	PORT_TAG[NP] = "dsa-tag" in V ? V["dsa-tag"] : ""
	# Frames of a switch behind a port are by the device of the switch.
	if (sub(/[.].*/, "", name)) CONDUIT[ENGINE " " name]
}

# The key of the policy that has one of these words in its name, or nothing: it is the module
# that names its keys.
function policy(words,   i) {
	for (i = 1; i <= KEY["policy"]; i++) if (KEY["policy", i] ~ words) return KEY["policy", i]
	return ""
}
# Is it 1 with all engines?
function is_on(key,   e) {
	for (e = 1; e <= NE; e++) if (S[E[e] " policy " key] != 1) return 0
	return key != ""
}

# key=value words into V
function kv(line,   n, w, i, p) {
	split("", V)
	n = split(line, w, " ")
	for (i = 1; i <= n; i++) if (p = index(w[i], "=")) V[substr(w[i], 1, p - 1)] = substr(w[i], p + 1)
}

# IPv6 addresses have many spellings; this is the one with all groups.
function ip(a,   n, w, i, t, nt, out) {
	if (a !~ /:/) return a
	a = tolower(a)
	if (i = index(a, "::")) {
		n = i > 1 ? split(substr(a, 1, i - 1), w, ":") : 0
		nt = length(a) > i + 1 ? split(substr(a, i + 2), t, ":") : 0
		while (n + nt < 8) w[++n] = 0
		for (i = 1; i <= nt; i++) w[++n] = t[i]
	} else n = split(a, w, ":")
	for (i = 1; i <= n; i++) {
		sub(/^0+/, "", w[i])
		out = out (i > 1 ? ":" : "") (w[i] == "" ? 0 : w[i])
	}
	return out
}
# 192.0.2.1:80, [2001:db8::1]:80, or an address alone; the port goes to PORT.
function endpoint(s,   n) {
	PORT = ""
	if (n = index(s, "]")) { PORT = substr(s, n + 2); s = substr(s, 2, n - 2) }
	else if (s ~ /^[^:]*:[^:]*$/) { n = index(s, ":"); PORT = substr(s, n + 1); s = substr(s, 1, n - 1) }
	return ip(s)
}
function spell(a, p) { return p == "" ? a : a ~ /:/ ? "[" a "]:" p : a ":" p }
function alike(s) { s = endpoint(s); return spell(s, PORT) }
# a->b with addresses spelt alike
function tuple(s,   n) {
	return (n = index(s, "->")) ? alike(substr(s, 1, n - 1)) "->" alike(substr(s, n + 2)) : s
}
function wanted(s) {
	if (WANTED_BITS != "") return within(endpoint(s), WANTED, WANTED_BITS)
	return endpoint(s) == WANTED && (WANTED_PORT == "" || PORT == WANTED_PORT)
}
# Are the first bits of two addresses the same? Of IPv6 addresses as ip() has them.
function within(a, b, bits,   v6, size, n, w, x, i, p) {
	bits += 0
	v6 = b ~ /:/
	if ((a ~ /:/) != v6) return 0
	size = v6 ? 16 : 8
	n = split(a, w, v6 ? ":" : ".")
	if (n != split(b, x, v6 ? ":" : ".")) return 0
	for (i = 1; bits >= size; i++) {
		if (w[i] != x[i]) return 0
		bits -= size
	}
	for (p = 1; bits < size; bits++) p *= 2
	return i > n || int(number(w[i], v6) / p) == int(number(x[i], v6) / p)
}
function number(s, hex,   i, n) {
	if (!hex) return s + 0
	for (i = 1; i <= length(s); i++) n = 16 * n + index("0123456789abcdef", substr(s, i, 1)) - 1
	return n
}
function of_proto(p) { return WANTED_PROTO == "" || p == WANTED_PROTO }
function touches(s,   n) {
	return (n = index(s, "->")) && (wanted(substr(s, 1, n - 1)) || wanted(substr(s, n + 2)))
}

function human(n,   i) {
	n += 0
	for (i = 1; n >= 1000 && i < 6; i++) n /= 1000
	return i > 1 ? sprintf("%.1f%s", n, substr(" kMGTP", i, 1)) : sprintf("%.0f", n)
}
function span(s) {
	if (s !~ /^[0-9]/) return s
	s = int(s)
	if (s < 60) return s "s"
	if (s < 3600) return int(s / 60) "m" s % 60 "s"
	if (s < 86400) return int(s / 3600) "h" int(s % 3600 / 60) "m"
	return int(s / 86400) "d" int(s % 86400 / 3600) "h"
}

function json(s,   i, c, out) {
	gsub(/[^ -~]/, "?", s)
	if (s !~ /["\\]/) return "\"" s "\""
	for (i = 1; i <= length(s); i++) {
		c = substr(s, i, 1)
		out = out (c == "\"" || c == "\\" ? "\\" : "") c
	}
	return "\"" out "\""
}
# Names, slots and the like may look like numbers without being any.
function member(k, v) {
	return json(k) ":" (v ~ /^(0|[1-9][0-9]*)([.][0-9]+)?$/ &&
		k !~ /^(name|version|reason|says|chip|bus|slot|proto|orig|new|in|out|port|device|engine|vlan-in|vlan-out|answered|state|result|do|hardware)$/ ? v : json(v))
}
function object(line,   n, w, i, p, out) {
	n = split(line, w, " ")
	for (i = 1; i <= n; i++) if (p = index(w[i], "="))
		out = out (out == "" ? "" : ",") member(substr(w[i], 1, p - 1), substr(w[i], p + 1))
	return "{" out "}"
}

# The command that reads a file of an engine; "@unread" if it cannot. awk itself would
# give up in words of its own.
function reading(eng, file) {
	gsub(/'/, "", eng)
	return "cat \"$FOLDER\"/'" eng "'/" file " 2>/dev/null || echo @unread"
}

# Is a device, or one that it is made of, in the list? Those that are not: ABSENT.
function inside(dev, list,   n, w, i, found, absent) {
	ABSENT = ""
	n = split(list, w, " ")
	for (i = 1; i <= n; i++)
		if (w[i] == dev || (sub(/[*]$/, "", w[i]) && index(dev, w[i]) == 1)) return 1
	n = split(dev in LOWER ? LOWER[dev] : "", w, " ")
	if (!n) { ABSENT = dev; return 0 }
	for (i = 1; i <= n; i++) {
		if (inside(w[i], list)) found = 1
		if (ABSENT != "") absent = absent (absent == "" ? "" : ", ") ABSENT
	}
	ABSENT = absent
	return found
}
