// SPDX-License-Identifier: GPL-2.0-only
//
// Counters of nft_offload's engines, and its refusals by their reason. fs, gauge and
// counter come from the exporter. Lines and keys may be added to the module's files: they
// are exported without a change here.

const FOLDER = "/sys/kernel/debug/nft_offload/";

const engines = fs.lsdir(FOLDER);

if (!length(engines))
	return false;

// Name of a metric -> what is to be said of it: all engines of one metric have to be
// together.
const samples = {};

function add(name, labels, value) {
	if (!samples[name])
		samples[name] = [];
	push(samples[name], { labels: labels, value: +value });
}

// What the file status has, under the names of nft-offload stats --prometheus.
const STATUS = {
	nft_offload_engine_up: "1 if the engine is running, 0 if it stopped answering.",
	nft_offload_paused: "1 if new flows are kept in software.",
	nft_offload_entries: "Entries that the engine has.",
	nft_offload_bound: "Entries that forward a flow.",
	nft_offload_occupancy_percent: "Bound entries in percent of all."
};

function is_gauge(key) {
	return STATUS[key] || match(key, /_(now|max)$/) != null;
}

function help(name) {
	if (STATUS[name])
		return STATUS[name];
	if (name == "nft_offload_reject_reasons_total")
		return "Flows that the module refused, by the reason.";
	return "A counter of the module's file stats.";
}

function add_status(labels, lines) {
	const values = {};

	for (let n = 0; n < length(lines); n++) {
		const words = split(lines[n], ": ");

		if (length(words) == 2)
			values[words[0]] = words[1];
	}
	if (!values.engine)
		return;
	add("nft_offload_engine_up", labels, values.engine == "running" ? 1 : 0);
	add("nft_offload_paused", labels, values.paused);
	add("nft_offload_entries", labels, values.entries);
	add("nft_offload_bound", labels, values.bound);
	// Integers divide to an integer.
	if (+values.entries > 0)
		add("nft_offload_occupancy_percent", labels, 100.0 * +values.bound / +values.entries);
}

for (let i = 0; i < length(engines); i++) {
	const engine = engines[i];
	const folder = FOLDER + engine + "/";
	const stats = split(fs.readfile(folder + "stats") || "", "\n");
	const rejects = split(fs.readfile(folder + "rejects") || "", "\n");

	for (let n = 0; n < length(stats); n++) {
		const words = split(stats[n], " ");

		if (length(words) == 2) {
			const key = words[0];
			const name = is_gauge(key) || match(key, /_total$/) ? key : key + "_total";

			add("nft_offload_" + name, { engine: engine }, words[1]);
		}
	}

	add_status({ engine: engine }, split(fs.readfile(folder + "status") || "", "\n"));

	// "reason count …", then a line "flow …" for each of the last refused flows.
	for (let n = 0; n < length(rejects); n++) {
		const words = split(rejects[n], " ");

		if (length(words) > 1 && words[0] != "flow")
			add("nft_offload_reject_reasons_total", { engine: engine, reason: words[0] }, words[1]);
	}
}

const names = keys(samples);

for (let i = 0; i < length(names); i++) {
	const name = names[i];
	const metric = is_gauge(name) ? gauge(name, help(name)) : counter(name, help(name));

	for (let n = 0; n < length(samples[name]); n++)
		metric(samples[name][n].labels, samples[name][n].value);
}
