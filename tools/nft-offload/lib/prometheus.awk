# SPDX-License-Identifier: GPL-2.0-only
#
# stats --prometheus: the text format of Prometheus. All samples of one metric have to be together.

# A label of value "v", of which " and \\ and what is not printable need care.
function label(k, v) { return k "=" json(v) }
function sample(name, labels, v) {
	if (v !~ /^[0-9]+([.][0-9]+)?$/) return
	if (!(name in OF)) NAME[++NN] = name
	OF[name] = OF[name] "nft_offload_" name "{" labels "} " v "\n"
}
function about(name, type, text) { TYPE[name] = type; HELP[name] = text }
END {
	about("engine_up", "gauge", "1 if the engine is running, 0 if it stopped answering.")
	about("paused", "gauge", "1 if new flows are kept in software.")
	about("entries", "gauge", "Entries that the engine has.")
	about("bound", "gauge", "Entries that forward a flow.")
	about("occupancy_percent", "gauge", "Bound entries in percent of all.")
	about("flowtables", "gauge", "Flowtables that are bound to the engine.")
	about("port_up", "gauge", "1 if the port has a link.")
	about("reject_reasons_total", "counter", "Flows that the module refused, by the reason.")
	text = "of the port, as far as the CPU or the driver of the device counts them."
	about("port_receive_packets_total", "counter", "Packets received " text)
	about("port_receive_bytes_total", "counter", "Bytes received " text)
	about("port_transmit_packets_total", "counter", "Packets sent " text)
	about("port_transmit_bytes_total", "counter", "Bytes sent " text)
	for (e = 1; e <= NE; e++) {
		eng = E[e]
		which = label("engine", eng)
		sample("engine_up", which, S[eng " status engine"] == "running" ? 1 : 0)
		sample("paused", which, S[eng " status paused"])
		sample("entries", which, S[eng " status entries"])
		sample("bound", which, S[eng " status bound"])
		if (S[eng " status entries"] + 0)
			sample("occupancy_percent", which, sprintf("%.3f", 100 * S[eng " status bound"] / S[eng " status entries"]))
		sample("flowtables", which, S[eng " status flowtables"])
		for (i = 1; i <= NP; i++) if (PORT_ENGINE[i] == eng && PORT_DEV[i] != "") {
			at = which "," label("port", PORT_NAME[i]) "," label("device", PORT_DEV[i])
			sample("port_up", at, PORT_LINK[i] == "up" ? 1 : 0)
			if (split(NET[PORT_DEV[i]], w, " ") != 4) continue
			sample("port_receive_packets_total", at, w[1])
			sample("port_receive_bytes_total", at, w[2])
			sample("port_transmit_packets_total", at, w[3])
			sample("port_transmit_bytes_total", at, w[4])
		}
		for (i = 1; i <= KEY["stats"]; i++) {
			k = KEY["stats", i]
			type = k ~ /_(now|max)$/ ? "gauge" : "counter"
			name = type == "gauge" || k ~ /_total$/ ? k : k "_total"
			about(name, type, "The counter " k " of the module's file stats.")
			sample(name, which, S[eng " stats " k])
		}
		for (i = 1; i <= KEY["rejects"]; i++) {
			k = KEY["rejects", i]
			sample("reject_reasons_total", which "," label("reason", k), S[eng " rejects " k])
		}
	}
	for (i = 1; i <= NN; i++) {
		name = NAME[i]
		printf "# HELP nft_offload_%s %s\n# TYPE nft_offload_%s %s\n%s", name, HELP[name], name, TYPE[name], OF[name]
	}
}
