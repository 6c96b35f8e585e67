# SPDX-License-Identifier: GPL-2.0-only
#
# status --json and stats --json.

function section(eng, file,   i, k, out) {
	for (i = 1; i <= KEY[file]; i++) {
		k = KEY[file, i]
		if (k == "capabilities") out = out "," json(k) ":" object(S[eng " " file " " k])
		else {
			v = S[eng " " file " " k]
			gsub(/ /, "_", k)
			out = out "," member(k, v)
		}
	}
	return file == "status" ? out : "," json(file) ":{" substr(out, 2) "}"
}
END {
	printf "{\"version\":" SCHEMA ",\"engines\":["
	for (e = 1; e <= NE; e++) {
		printf "%s\n{%s", (e > 1 ? "," : ""), member("name", E[e])
		if (KEY["status"]) {
			printf "%s,\"ports\":[", ENVIRON["command"] == "status" ? section(E[e], "status") : ""
			sep = ""
			for (i = 1; i <= NP; i++) if (PORT_ENGINE[i] == E[e]) {
				printf "%s{%s,%s,%s", sep, member("port", PORT_NAME[i]),
					member("device", PORT_DEV[i]), member("link", PORT_LINK[i])
				if (PORT_MAC[i] != "") printf ",%s", member("mac", PORT_MAC[i])
				if (PORT_TABLES[i] != "") printf ",%s", member("flowtables", PORT_TABLES[i])
				if (PORT_TAG[i] != "") printf ",%s", member("dsa-tag", PORT_TAG[i])
				if (split(NET[PORT_DEV[i]], w, " ") == 4)
					printf ",\"rx_packets\":%s,\"rx_bytes\":%s,\"tx_packets\":%s,\"tx_bytes\":%s", w[1], w[2], w[3], w[4]
				printf "}"
				sep = ","
			}
			printf "]"
		}
		if (KEY["policy"]) printf "%s", section(E[e], "policy")
		printf "%s%s}", section(E[e], "stats"), section(E[e], "rejects")
		if (ENVIRON["command"] == "status" && S[E[e] " status engine"] != "running") bad = 1
	}
	print "\n]}"
	exit bad
}
