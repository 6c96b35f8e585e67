# SPDX-License-Identifier: GPL-2.0-only
#
# flows: what flows.awk printed, sorted and cut, as a table or an object. The first line is the
# sum, or the status of a command that failed.

NR == 1 && NF == 1 { failed = $1; exit }
!WITH_JSON {
	if (NR > 1) print
	else printf "%-6s %-6s %-10s %-10s %7s %7s %8s %8s  %s\n", "STATE", "SLOT", "IN", "OUT", "AGE", "IDLE", "PACKETS", "BYTES", "FLOW"
	next
}
NR == 1 { printf "{\"version\":" SCHEMA ",\"total\":%s,\"flows\":[", object($0); next }
{ printf "%s\n%s", (NR > 2 ? "," : ""), object($0) }
END {
	if (failed) exit failed
	if (WITH_JSON) print "\n]}"
}
