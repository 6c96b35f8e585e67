# SPDX-License-Identifier: GPL-2.0-only
#
# The ruleset, as nft lists it, in lines of facts:
#
#   flowtable TABLE:NAME offload|- counter|- rule|late|- DEVICE…
#   passed KIND TABLE:CHAIN RULE
#   hooked TABLE:CHAIN ingress|egress DEVICE…
#
# A flowtable's rule is "late" if connections are accepted before they come to it. A rule is
# passed by if packets of established connections would come to it without a flowtable, and
# KIND says what it would do with them. A chain at a device is hooked if it has rules.

$1 == "table" { family = $2; table = $2 ":" $3 }
$1 == "flowtable" { name = table ":" $2; text = ""; next }
name != "" && /^[ \t]*[}][ \t]*$/ {
	FT[++n] = name
	devs[n] = ""
	if (match(text, /devices = [{][^}]*[}]/)) {
		devs[n] = listed(substr(text, RSTART + 11, RLENGTH - 12))
		text = substr(text, 1, RSTART - 1) substr(text, RSTART + RLENGTH)
	}
	gsub(/[;,]/, " ", text)
	text = text " "
	offload[n] = text ~ /flags .*offload / ? "offload" : "-"
	counter[n] = text ~ / counter / ? "counter" : "-"
	name = ""
	next
}
name != "" { gsub(/\t/, " "); text = text " " $0; next }
$1 == "chain" { chain = table " " $2; CHAIN[++chains] = chain; early = 0; next }
/^[ \t]*[}][ \t]*$/ { chain = ""; next }
chain == "" { next }
$1 == "type" && $3 == "hook" {
	TYPE[chain] = $2
	HOOK[chain] = $4
	if ($4 == "forward") reached[chain]
	if (match($0, /devices? (= )?([{][^}]*[}]|"[^"]*"|[^ ]+)/)) {
		AT[chain] = substr($0, RSTART, RLENGTH)
		sub(/^devices? (= )?/, "", AT[chain])
		gsub(/[{}]/, "", AT[chain])
		AT[chain] = listed(AT[chain])
	}
	FAMILY[chain] = family
	next
}
NF {
	rule = $0
	sub(/^[ \t]+/, "", rule)
	sub(/[ \t]+$/, "", rule)
	sub(/ # handle [0-9]+$/, "", rule)
	RULE[chain, ++RULES[chain]] = rule
}
match($0, /flow (add|offload) @[^ ;]+/) {
	rule = substr($0, RSTART, RLENGTH)
	sub(/.*@/, "", rule)
	where[++rules] = chain
	of[rules] = table ":" rule
	kind[rules] = early ? "late" : "rule"
	next
}
/ct state/ && /established/ && /accept/ { early = 1 }
{
	while (match($0, /(jump|goto) [^ ;,}]+/)) {
		reached[table " " substr($0, RSTART + 5, RLENGTH - 5)]
		$0 = substr($0, RSTART + RLENGTH)
	}
}

# A list of names, separated by blanks
function listed(s) {
	gsub(/[",]/, " ", s)
	return s
}

# A rule between blanks, without what people or sets have written into it
function bare(s) {
	sub(/ comment "[^"]*"/, "", s)
	gsub(/"[^"]*"/, "\"\"", s)
	return " " s " "
}

# Is the rule for packets that are never in hardware: the first ones, the last ones, and those
# of other protocols?
function for_others(s) {
	if (s ~ / ct state / && s !~ /established/ && s !~ / ct state != /) return 1
	return s ~ / tcp flags / || s ~ / (icmp|icmpv6|igmp|esp|ah|gre|sctp) / || s ~ / ip6? (protocol|nexthdr) (icmp|ipv6-icmp|esp|gre)/
}

# What the rule would do with each packet, or nothing
function does(s) {
	if (s ~ / ct ((original|reply) )?(bytes|packets|avgpkt) /) return "volume"
	if (s ~ / (ip|ip6|th|tcp|udp|ether|vlan) [a-z0-9_]+ set / || s ~ / @[a-z]+,[0-9]+,[0-9]+ set /) return "header"
	if (s ~ / limit (rate|name) /) return "limit"
	if (s ~ / quota /) return "quota"
	if (s ~ / (log|queue|dup) /) return "copy"
	if (s ~ / counter /) return "counter"
	return ""
}

# Notes what packets of established connections meet from this chain on. Do all of them end
# there?
function walk(c,   home, i, s, k, plain, tail, target, ended) {
	if (c in WALKED) return WALKED[c]
	WALKED[c] = 0
	home = substr(c, 1, index(c, " "))
	for (i = 1; i <= RULES[c]; i++) {
		s = bare(RULE[c, i])
		if (for_others(s)) continue
		if (s !~ / flow (add|offload) @/ && (k = does(s)) != "") PASSED[++passed] = k " " named(c) " " plainly(RULE[c, i])
		plain = tail = s
		ended = 0
		while (match(tail, /(jump|goto) [^ ;,}]+/)) {
			target = home substr(tail, RSTART + 5, RLENGTH - 5)
			tail = substr(tail, RSTART + RLENGTH)
			ended = walk(target)
		}
		sub(/ counter packets [0-9]+ bytes [0-9]+/, "", plain)
		if (plain ~ /^ (accept|drop) $/ || plain ~ /^ ct state [a-z,{} ]*established[a-z,{} ]* accept $/ ||
			plain ~ /^ ct state vmap [{][^}]*established : accept[^}]*[}] $/ || plain ~ /^ jump [^ ]+ $/ && ended)
			return WALKED[c] = 1
		if (plain ~ /^ goto [^ ]+ $/) return WALKED[c] = ended
		if (plain == " return ") return 0
	}
	return 0
}
function plainly(s) { sub(/ counter packets [0-9]+ bytes [0-9]+/, " counter", s); sub(/^counter packets [0-9]+ bytes [0-9]+/, "counter", s); return s }
function named(c) { sub(/ /, ":", c); return c }

END {
	for (i = 1; i <= rules; i++)
		if (where[i] in reached && found[of[i]] != "rule") found[of[i]] = kind[i]
	for (i = 1; i <= n; i++)
		print "flowtable", FT[i], offload[i], counter[i], FT[i] in found ? found[FT[i]] : "-", devs[i]
	for (i = 1; i <= chains; i++) {
		c = CHAIN[i]
		if (FAMILY[c] ~ /^(ip|ip6|inet)$/ && TYPE[c] != "nat" && HOOK[c] ~ /^(prerouting|forward|postrouting)$/) walk(c)
	}
	for (i = 1; i <= passed; i++) print "passed", PASSED[i]
	for (i = 1; i <= chains; i++) {
		c = CHAIN[i]
		if (HOOK[c] ~ /^(ingress|egress)$/ && RULES[c]) print "hooked", named(c), HOOK[c], AT[c]
	}
}
