# SPDX-License-Identifier: GPL-2.0-only
#
# The ruleset, as nft lists it, in one line for each flowtable:
#
#   flowtable TABLE:NAME offload|- counter|- rule|late|- DEVICE…
#
# It is "late" if connections are accepted before they come to the rule.

$1 == "table" { table = $2 ":" $3 }
$1 == "flowtable" { name = table ":" $2; text = ""; next }
name != "" && /^[ \t]*[}][ \t]*$/ {
	FT[++n] = name
	devs[n] = ""
	if (match(text, /devices = [{][^}]*[}]/)) {
		devs[n] = substr(text, RSTART + 11, RLENGTH - 12)
		text = substr(text, 1, RSTART - 1) substr(text, RSTART + RLENGTH)
		gsub(/[",]/, " ", devs[n])
	}
	gsub(/[;,]/, " ", text)
	text = text " "
	offload[n] = text ~ /flags .*offload / ? "offload" : "-"
	counter[n] = text ~ / counter / ? "counter" : "-"
	name = ""
	next
}
name != "" { gsub(/\t/, " "); text = text " " $0; next }
$1 == "chain" { chain = table " " $2; early = 0 }
/hook forward/ { reached[chain] }
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
END {
	for (i = 1; i <= rules; i++)
		if (where[i] in reached && found[of[i]] != "rule") found[of[i]] = kind[i]
	for (i = 1; i <= n; i++)
		print "flowtable", FT[i], offload[i], counter[i], FT[i] in found ? found[FT[i]] : "-", devs[i]
}
