// SPDX-License-Identifier: GPL-2.0-only
//
// Status > Hardware Offload: engines, a chart, the flows in hardware, and those that
// are not. All of it is what the command nft-offload says, by the ubus object
// luci.nft-offload.
//
// E() and dom.content() take a bare string for markup, so whatever is shown is in a
// list: then it is text.

'use strict';
'require dom';
'require poll';
'require rpc';
'require ui';
'require view';

const FLOWS = 200, REFUSED = 30;
const HISTORY = 5 * 60; // seconds that the charts show

function declare(method, params) {
	return rpc.declare({ object: 'luci.nft-offload', method: method, params: params, expect: { '': {} }, reject: true });
}

const callStatus = declare('status');
const callFlows = declare('flows', [ 'limit', 'address' ]);
const callRefused = declare('refused', [ 'limit', 'address' ]);
const callPause = declare('pause', [ 'engine', 'on' ]);
const callFlush = declare('flush', [ 'engine' ]);

// Colours of their own only where both light and dark pages let them be seen.
const css = `
.nfto p { margin: .3em 0 }
.nfto table { margin: .5em 0 }
.nfto .nfto-table { overflow-x: auto }
.nfto .nfto-long { overflow-wrap: anywhere }
.nfto .nfto-short { white-space: nowrap }
.nfto .nfto-dim { opacity: .75 }
.nfto .nfto-bar { display: flex; flex-wrap: wrap; gap: .5em 1em; align-items: center; margin: .5em 0 }
.nfto .nfto-bar > .nfto-grow { flex: 1 1 14em }
.nfto .nfto-dot { display: inline-block; width: .75em; height: .75em; border-radius: 50%; margin-right: .4em }
.nfto .nfto-good { background: #2b9348 }
.nfto .nfto-warn { background: #c77700 }
.nfto .nfto-bad { background: #d9363e }
.nfto .nfto-charts { display: flex; flex-wrap: wrap; gap: 1em }
.nfto .nfto-chart { flex: 1 1 16em; min-width: 0 }
.nfto .nfto-chart svg { display: block; width: 100%; height: 9em }
.nfto .nfto-chart text { fill: currentColor; font-size: 11px }
.nfto .nfto-chart .nfto-grid { stroke: currentColor; stroke-opacity: .2; fill: none }
.nfto .nfto-chart .nfto-line { fill: none; stroke-width: 2; stroke-linejoin: round }
.nfto .nfto-chart .nfto-area { stroke: none; fill-opacity: .15 }
.nfto .nfto-bound .nfto-line { stroke: #3b82d6 } .nfto .nfto-bound .nfto-area { fill: #3b82d6 }
.nfto .nfto-rate .nfto-line { stroke: #c9701a } .nfto .nfto-rate .nfto-area { fill: #c9701a }
.nfto .nfto-value { font-size: 150%; font-weight: bold }
`;

function human(n, unit) {
	let i = 0;

	for (n = +n || 0; n >= 1000 && i < 5; i++)
		n /= 1000;

	return `${i ? n.toFixed(n < 100 ? 1 : 0) : Math.round(n)}${unit || i ? ' ' : ''}${[ '', 'k', 'M', 'G', 'T', 'P' ][i]}${unit || ''}`;
}

function span(seconds) {
	const s = Math.floor(+seconds || 0);

	if (s < 60)
		return _('%d s').format(s);
	if (s < 3600)
		return _('%d min').format(s / 60);
	if (s < 86400)
		return _('%d h %d min').format(s / 3600, s % 3600 / 60);

	return _('%d d %d h').format(s / 86400, s % 86400 / 3600);
}

// What may be broken anywhere, such as addresses, and what nowhere.
function long(...children) {
	return E('span', { 'class': 'nfto-long' }, children);
}

function short(text) {
	return E('span', { 'class': 'nfto-short' }, [ text ]);
}

function table(titles, rows, empty) {
	return E('div', { 'class': 'nfto-table' }, [
		E('table', { 'class': 'table' }, [
			E('tr', { 'class': 'tr table-titles' }, titles.map(title => E('th', { 'class': 'th' }, [ title ])))
		].concat(rows.map(cells => E('tr', { 'class': 'tr' }, cells.map((cell, i) =>
			E('td', { 'class': 'td', 'data-title': titles[i] }, Array.isArray(cell) ? cell : [ cell ])
		))), rows.length ? [] : [
			E('tr', { 'class': 'tr placeholder' }, [
				E('td', { 'class': 'td', 'colspan': titles.length }, [ E('em', {}, [ empty ]) ])
			])
		]))
	]);
}

function paragraph(text) {
	return E('p', {}, [ text ]);
}

function notice(kind, title, text) {
	return E('div', { 'class': `alert-message ${kind}` }, [ E('h4', {}, [ title ]), paragraph(text) ]);
}

// The sentence of a reason: what it means, and behind the first semicolon what to do;
// what is to be typed is between backticks.
function sentence(says) {
	const at = says.indexOf('; ');
	const marked = text => text.split('`').map((part, i) => i % 2 ? E('code', {}, [ part ]) : part);

	return at < 0 ? [ marked(says), '–' ]
		: [ marked(`${says.slice(0, at)}.`), marked(says.charAt(at + 2).toUpperCase() + says.slice(at + 3)) ];
}

// Both directions of a connection in one: [{ up, down }, …], in the order of the list.
function connections(flows) {
	const reversed = tuple => tuple.split('->').reverse().join('->');
	const key = (flow, tuple) => [ flow.engine, flow.proto, tuple ].join(' ');
	const waiting = {}, found = [];

	for (const flow of flows) {
		const other = waiting[key(flow, flow.orig)];

		if (other) {
			other[other.up ? 'down' : 'up'] = flow;
			delete waiting[key(flow, flow.orig)];
		}
		else {
			const connection = flow.dir == 'reply' ? { down: flow } : { up: flow };

			// The other direction begins with what this one ends as.
			waiting[key(flow, reversed(flow.new))] = connection;
			found.push(connection);
		}
	}

	return found;
}

function engineState(engine) {
	if (engine.engine != 'running')
		return [ 'bad', _('The engine stopped answering and is left alone; all flows go on in software. It is started again when it answers; the kernel log says what happened before.') ];
	if (engine.paused)
		return [ 'warn', _('Paused: new flows stay in software. Those that are in hardware stay there until they are flushed.') ];
	if (!engine.flowtables && !engine.bridge_rules)
		return [ 'bad', _('No flowtable with the flag “offload” is bound to this engine, so nothing can be offloaded. Choose hardware flow offloading in the firewall’s settings, or restart the firewall if that is chosen.') ];
	if (!engine.ports.some(port => port.link == 'up'))
		return [ 'warn', _('Ready, but no port has a link.') ];
	if (engine.bound)
		return [ 'good', _('Working: the hardware forwards flows.') ];

	return [ 'good', _('Ready: no flow is in hardware at the moment.') ];
}

function svg(name, attributes, children) {
	const node = document.createElementNS('http://www.w3.org/2000/svg', name);

	for (const key in attributes)
		node.setAttribute(key, attributes[key]);

	(children || []).forEach(child => node.appendChild(child instanceof Node ? child : document.createTextNode(child)));

	return node;
}

// The least of 1, 2, 5, 10, 20, … that is not below.
function ceiling(n) {
	const tens = Math.pow(10, Math.floor(Math.log10(Math.max(n, 1))));

	return [ 1, 2, 5, 10 ].map(f => f * tens).find(v => v >= n);
}

// points: [{ time, value }], values may be null where there is none.
function drawChart(node, points, now) {
	const width = Math.max(node.clientWidth || 320, 120), height = 120;
	const left = 40, right = width - 6, top = 14, bottom = height - 18;
	const most = ceiling(points.reduce((n, point) => Math.max(n, point.value || 0), 0));
	const x = time => right - (now - time) / HISTORY * (right - left);
	const y = value => bottom - value / most * (bottom - top);
	const lines = [];

	points.forEach((point, i) => {
		if (point.value == null)
			return;
		if (!i || points[i - 1].value == null)
			lines.push([]);
		lines[lines.length - 1].push([ x(point.time).toFixed(1), y(point.value).toFixed(1) ]);
	});

	dom.content(node.querySelector('.nfto-plot'), [
		svg('svg', { 'viewBox': `0 0 ${width} ${height}`, 'preserveAspectRatio': 'none', 'aria-hidden': 'true' }, [
			svg('path', { 'class': 'nfto-grid', 'd': [ 0, .5, 1 ].map(part => `M${left} ${y(part * most)}H${right}`).join('') }),
			svg('text', { 'x': left - 6, 'y': top + 4, 'text-anchor': 'end' }, [ human(most) ]),
			svg('text', { 'x': left - 6, 'y': bottom + 4, 'text-anchor': 'end' }, [ '0' ]),
			svg('text', { 'x': left, 'y': height - 3 }, [ _('%d min ago').format(HISTORY / 60) ]),
			svg('text', { 'x': right, 'y': height - 3, 'text-anchor': 'end' }, [ _('now') ])
		].concat(...lines.map(line => [
			svg('path', { 'class': 'nfto-area', 'd': `M${line[0][0]} ${bottom}L${line.map(p => p.join(' ')).join('L')}L${line[line.length - 1][0]} ${bottom}Z` }),
			svg('path', { 'class': 'nfto-line', 'd': `M${line.map(p => p.join(' ')).join('L')}` })
		])))
	]);
}

function chart(kind, title) {
	return E('div', { 'class': `nfto-chart nfto-${kind}` }, [
		E('div', {}, [ title, ': ', E('span', { 'class': 'nfto-value', 'aria-live': 'off' }, [ '–' ]) ]),
		E('div', { 'class': 'nfto-plot' })
	]);
}

return view.extend({
	handleSaveApply: null,
	handleSave: null,
	handleReset: null,

	history: [],
	address: '',
	resume: 0,

	// What all calls say, or { error }. The chart is of all flows, whichever are looked for.
	load() {
		return Promise.all([
			callStatus(), callFlows(FLOWS), callRefused(REFUSED, this.address || undefined),
			this.address ? callFlows(FLOWS, this.address) : null
		]).then(([ status, all, refused, some ]) => {
			const flows = some || all;

			if (status.error || all.error)
				return { error: status.error || all.error };
			if (!all.total)
				return { error: _('The command nft-offload is older than this page: update its package.') };

			return {
				engines: status.engines || [], all: all, flows: flows.flows || [], total: flows.total || {},
				reasons: refused.reasons || [], refused: refused.flows || [],
				// The command knows what an address is.
				wrong: flows.error || refused.error || ''
			};
		}).catch(e => ({ error: _('The router does not answer: %s').format(e.message || e) }));
	},

	render(data) {
		const part = name => this[name] = E('div', { 'class': `nfto-${name}` });

		this.charts = [ chart('bound', _('Entries bound')), chart('rate', _('Packets per second, by hardware')) ];
		this.filter = E('input', {
			'type': 'text', 'class': 'cbi-input-text nfto-filter', 'placeholder': '[2001:db8::1]:443', 'size': 40,
			'aria-label': _('Address'), 'change': ui.createHandlerFn(this, 'handleFilter')
		});

		const node = E('div', { 'class': 'cbi-map nfto' }, [
			E('style', {}, [ css ]),
			E('h2', {}, [ _('Hardware Offload') ]),
			E('div', { 'class': 'cbi-map-descr' }, [
				_('Connections that the packet processing engine forwards by itself, and why others stay with the processor.')
			]),
			part('trouble'),
			this.body = E('div', {}, [
				part('engines'),
				E('div', { 'class': 'cbi-section' }, [ E('div', { 'class': 'nfto-charts' }, this.charts) ]),
				E('div', { 'class': 'cbi-section nfto-bar' }, [
					E('label', {}, [ _('Only flows with this address:'), ' ' ]), this.filter, part('wrong')
				]),
				E('div', { 'class': 'cbi-section' }, [ E('h3', {}, [ _('In hardware') ]), part('flows') ]),
				E('div', { 'class': 'cbi-section' }, [ E('h3', {}, [ _('Reasons to stay in software') ]), part('reasons') ]),
				E('div', { 'class': 'cbi-section' }, [ E('h3', {}, [ _('Refused last') ]), part('refused') ])
			])
		]);

		this.update(data);
		// A full table takes a small router seconds to list, in which rpcd does nothing else.
		poll.add(() => performance.now() < this.resume ? null : this.refresh());
		window.addEventListener('resize', () => this.updateCharts());
		// Only in the page it has a width.
		window.requestAnimationFrame(() => this.updateCharts());

		return node;
	},

	update(data) {
		this.body.style.display = data.error ? 'none' : '';
		dom.content(this.trouble, data.error ? [ notice('warning', _('Nothing is offloaded, as far as can be seen'), data.error) ] : []);
		this.measure(data);
		if (data.error)
			return;

		this.updateCharts();
		dom.content(this.wrong, data.wrong ? [ E('span', { 'class': 'alert-message warning' }, [ data.wrong ]) ] : []);
		dom.content(this.engines, data.engines.map(engine => this.renderEngine(engine)));
		dom.content(this.flows, this.renderFlows(data));
		dom.content(this.reasons, [ this.renderReasons(data.reasons) ]);
		dom.content(this.refused, [ this.renderRefused(data.refused) ]);
	},

	// Adds a point to the charts; without values if there are none to be had.
	measure(data) {
		const now = performance.now() / 1000;
		let bound = null, rate = null;

		if (this.last && now - this.last.time < .9)
			return;

		if (data.error) {
			this.last = null;
		}
		else {
			const { flows, total } = data.all;
			const counts = {};
			// Flows that ended since took their counts out of the sum. Who is missing among
			// those listed has ended, unless others, with more, have pushed it out.
			const cut = flows.length < total.flows ? flows[flows.length - 1].bytes : 0;

			for (const flow of flows)
				counts[[ flow.engine, flow.proto, flow.orig ].join(' ')] = [ flow.packets, flow.bytes ];

			if (this.last) {
				let packets = total.packets - this.last.packets;

				for (const key in this.last.counts) {
					const [ before, bytes ] = this.last.counts[key];

					if (counts[key] ? counts[key][0] < before : bytes >= cut)
						packets += before;
				}
				rate = Math.max(packets, 0) / (now - this.last.time);
			}
			bound = data.engines.reduce((n, engine) => n + engine.bound, 0);
			this.last = { time: now, packets: total.packets, counts: counts };
		}

		this.history = this.history.filter(point => now - point.time < HISTORY);
		this.history.push({ time: now, bound: bound, rate: rate });
	},

	updateCharts() {
		const latest = this.history[this.history.length - 1];

		[ 'bound', 'rate' ].forEach((key, i) => {
			const value = latest ? latest[key] : null;

			drawChart(this.charts[i], this.history.map(point => ({ time: point.time, value: point[key] })), latest ? latest.time : 0);
			dom.content(this.charts[i].querySelector('.nfto-value'), [ value == null ? '–' : human(value) ]);
		});
	},

	renderEngine(engine) {
		const [ state, words ] = engineState(engine);
		const stats = engine.stats || {};
		const part = 100 * engine.bound / (engine.entries || 1);
		const readonly = !L.hasViewPermission() || null;

		return E('div', { 'class': 'cbi-section nfto-engine' }, [
			E('h3', {}, [ `${String(engine.chip).toUpperCase()} `, E('small', { 'class': 'nfto-dim' }, [ engine.name ]) ]),
			E('p', { 'class': 'nfto-state' }, [ E('span', { 'class': `nfto-dot nfto-${state}` }), words ]),
			E('div', { 'class': 'nfto-bar' }, [
				E('div', { 'class': 'nfto-grow' }, [
					E('div', {
						'class': 'cbi-progressbar',
						'title': _('%s of %s entries').format(engine.bound, engine.entries)
					}, [ E('div', { 'style': `width:${part.toFixed(2)}%` }) ])
				]),
				E('span', { 'class': 'nfto-ports' }, engine.ports.map(port => E('span', {
					'class': 'ifacebadge', 'title': _('Port %s of the engine').format(port.port)
				}, [
					E('span', { 'class': `nfto-dot nfto-${port.link == 'up' ? 'good' : 'bad'}` }),
					port.device ? `${port.device}: ${port.link == 'up' ? _('link') : _('no link')}` : _('port %s: no device').format(port.port)
				]))),
				E('span', {}, [
					E('button', {
						'class': 'btn cbi-button cbi-button-action nfto-pause', 'disabled': readonly,
						'click': ui.createHandlerFn(this, 'handlePause', engine)
					}, [ engine.paused ? _('Resume') : _('Pause…') ]), ' ',
					E('button', {
						'class': 'btn cbi-button cbi-button-negative nfto-flush', 'disabled': readonly,
						'click': ui.createHandlerFn(this, 'handleFlush', engine)
					}, [ _('Flush…') ])
				])
			]),
			E('p', { 'class': 'nfto-dim' }, [
				_('A connection takes two entries, one for each direction. Of %s offered, %s were refused.').format(
					stats.offered || 0, stats.rejected || 0)
			])
		]);
	},

	renderFlows(data) {
		const cut = data.flows.length < (data.total.flows || 0);
		// Cut off, or is it really not there?
		const none = cut ? '…' : '–';
		const small = text => [ E('br'), E('span', { 'class': 'nfto-dim' }, [ text ]) ];
		const rows = connections(data.flows).map(({ up, down }) => {
			const flow = up || down;
			const as = up && up.new != up.orig ? up.new.split('->') : null;
			const [ from, to ] = up ? up.orig.split('->') : down.new.split('->').reverse();
			const path = up ? [ up.in, up.out ] : [ down.out, down.in ];
			const vlan = [ [ 'vlan-in', _('VLAN %s in') ], [ 'vlan-out', _('VLAN %s out') ], [ 'pppoe', _('PPPoE session %s') ] ]
				.filter(([ key ]) => flow[key] != null).map(([ key, text ]) => text.format(flow[key])).join(', ');
			const translated = as ? [ [ as[0], from ], [ as[1], to ] ].filter(([ a, b ]) => a != b).map(([ a ]) => a) : [];

			return [
				flow.proto.toUpperCase(),
				long(`${from} → ${to}`, ...(translated.length ? small(_('as %s').format(translated.join(', '))) : [])),
				long(path.join(' → '), ...(vlan ? small(vlan) : [])),
				short(up ? human(up.bytes, 'B') : none),
				short(down ? human(down.bytes, 'B') : none),
				short(human((up ? up.packets : 0) + (down ? down.packets : 0))),
				short(span(Math.max(up ? up.age : 0, down ? down.age : 0)))
			];
		});

		return [
			table([ _('Protocol'), _('Connection'), _('Path'), _('Sent'), _('Received'), _('Packets'), _('Since') ], rows,
				this.address ? _('No flow with this address is in hardware.') : _('No flow is in hardware.')),
			cut ? E('p', { 'class': 'nfto-dim' }, [
				_('The %d directions with most bytes, of %d.').format(data.flows.length, data.total.flows)
			]) : ''
		];
	},

	renderReasons(reasons) {
		return table([ _('Reason'), _('Times'), _('Last'), _('What it means'), _('What can be done') ],
			reasons.map(reason => [
				short(reason.reason), reason.count, short(_('%s ago').format(span(reason.age))), ...sentence(reason.says)
			]), _('No flow was refused.'));
	},

	renderRefused(flows) {
		return table([ _('When'), _('Times'), _('Reason'), _('Flow'), _('Path') ],
			flows.map(flow => [
				short(_('%s ago').format(span(flow.age))), flow.times, short(flow.reason),
				long(`${flow.proto.toUpperCase()} ${flow.orig.replace('->', ' → ')}`), long(`${flow.in} → ${flow.out}`)
			]), this.address ? _('No flow with this address was refused lately.') : _('No flow was refused lately.'));
	},

	refresh() {
		const begun = performance.now();

		return this.load().then(data => {
			this.resume = performance.now() + 3 * (performance.now() - begun);
			this.update(data);
		});
	},

	handleFilter() {
		this.address = this.filter.value.trim();

		return this.refresh();
	},

	// Asks first; then does it, and says how it went.
	confirm(title, text, button, task) {
		ui.showModal(title, [
			paragraph(text),
			E('div', { 'class': 'right' }, [
				E('button', { 'class': 'btn', 'click': () => ui.hideModal() }, [ _('Cancel') ]), ' ',
				E('button', {
					'class': 'btn cbi-button cbi-button-negative important nfto-confirm',
					'click': ui.createHandlerFn(this, () => this.tell(task).finally(() => ui.hideModal()))
				}, [ button ])
			])
		]);
	},

	tell(task) {
		return task().then(answer => {
			if (answer.error)
				throw new Error(answer.error);
		}).catch(e => {
			ui.addNotification(null, paragraph(_('It was not done: %s').format(e.message || e)), 'error');
		}).then(() => this.refresh());
	},

	handlePause(engine) {
		if (engine.paused)
			return this.tell(() => callPause(engine.name, false));

		this.confirm(_('Keep new flows in software?'),
			_('New connections then take the way through the processor, so that tcpdump and counters of the firewall see all of their packets. What is in hardware stays there until it is flushed.'),
			_('Pause'), () => callPause(engine.name, true));
	},

	handleFlush(engine) {
		this.confirm(_('Take all flows out of the hardware?'),
			_('Their next packets pass the firewall’s rules again, and they come back to the hardware within seconds, unless the engine is paused. No connection is lost.'),
			_('Flush'), () => callFlush(engine.name));
	}
});
