// SPDX-License-Identifier: GPL-2.0-only
//
// A stand-in for LuCI's runtime, for tests only: LuCI is in no package of Debian, PyPI
// or npm. Written from what luci.js, rpc.js, ui.js and cbi.js of LuCI's master of 2026
// do, as far as our page uses it:
//
//   'require x'      the directives at the top of a view name its modules
//   view.extend()    load(), render(), then into #view; all else but null has a footer
//   rpc.declare()    JSON-RPC 2.0 to /ubus, with expect and reject
//   poll.add()       at once and each pollinterval seconds, never twice at a time
//   E(), dom         a bare string is markup, one in a list is text; null is no attribute
//   ui               modal, notifications, createHandlerFn(): busy until it is done
//   _(), format()    %s and %d
//
// What it cannot show: how the themes look, and that LuCI has all of this still.
'use strict';

(function() {
	const query = new URLSearchParams(location.search);
	const env = {
		sessionid: query.has('readonly') ? 'reader' : 'admin',
		pollinterval: +(query.get('poll') || 1)
	};

	// Each text that is looked up, for the test that all are.
	window.translated = new Set();
	window._ = text => {
		window.translated.add(text);
		return query.has('pseudo') ? `⟦${text}⟧` : text;
	};

	String.prototype.format = function(...values) {
		return this.replace(/%(%|s|d)/g, (all, kind) =>
			kind == '%' ? '%' : kind == 'd' ? String(parseInt(values.shift(), 10)) : String(values.shift()));
	};

	const isNode = value => value != null && typeof value == 'object' && 'nodeType' in value;

	const dom = {
		append(node, children) {
			if (Array.isArray(children))
				children.filter(c => c != null).forEach(c => node.appendChild(isNode(c) ? c : document.createTextNode(String(c))));
			else if (isNode(children))
				node.appendChild(children);
			else if (children != null)
				node.innerHTML = String(children);
			return node.lastChild;
		},

		content(node, children) {
			node.replaceChildren();
			return dom.append(node, children);
		}
	};

	window.E = (tag, attributes, children) => {
		if (Array.isArray(attributes) || isNode(attributes) || typeof attributes != 'object')
			[ attributes, children ] = [ null, attributes ];

		const node = Array.isArray(tag) ? document.createDocumentFragment() : document.createElement(tag);

		if (Array.isArray(tag))
			dom.append(node, tag);
		for (const [ key, value ] of Object.entries(attributes || {})) {
			if (typeof value == 'function')
				node.addEventListener(key, value);
			else if (value != null)
				node.setAttribute(key, typeof value == 'object' ? JSON.stringify(value) : value);
		}
		dom.append(node, children);

		return node;
	};

	const poll = {
		queue: [],
		tick: 0,

		add(fn, interval) {
			poll.queue.push({ fn: fn, interval: interval || env.pollinterval, ready: true });
			if (poll.queue.length == 1) {
				setInterval(poll.step, 1000);
				poll.step();
			}
			return true;
		},

		step() {
			for (const entry of poll.queue) {
				if (poll.tick % entry.interval || !entry.ready)
					continue;
				entry.ready = false;
				Promise.resolve(entry.fn()).finally(() => { entry.ready = true; });
			}
			poll.tick++;
		}
	};

	let id = 1;
	const rpc = {
		declare(options) {
			return async (...values) => {
				const args = {};

				(options.params || []).forEach((name, i) => { args[name] = values[i]; });

				const reply = await fetch('/ubus', {
					method: 'POST',
					body: JSON.stringify({
						jsonrpc: '2.0', id: id++, method: 'call', params: [ env.sessionid, options.object, options.method, args ]
					})
				}).catch(e => { throw new Error(`XHR request failed: ${e.message}`); });

				if (!reply.ok)
					throw new Error(`RPC call to ${options.object}/${options.method} failed with HTTP error ${reply.status}: ${reply.statusText}`);

				const { error, result } = await reply.json();

				if (error)
					throw new Error(`RPC call to ${options.object}/${options.method} failed with error ${error.code}: ${error.message}`);
				if (options.reject && result[0] !== 0)
					throw new Error(`RPC call to ${options.object}/${options.method} failed with ubus code ${result[0]}`);

				let value = result.length > 1 ? result[1] : result[0];

				for (const key in options.expect || {}) {
					const kind = v => Object.prototype.toString.call(v);

					if (value != null && key != '')
						value = value[key];
					if (value == null || kind(value) != kind(options.expect[key]))
						value = options.expect[key];
				}
				return value;
			};
		}
	};

	const ui = {
		showModal(title, children) {
			ui.hideModal();

			const modal = E('div', { 'class': 'modal', 'role': 'dialog', 'aria-modal': 'true' }, [ E('h4', {}, [ title ]) ]);

			dom.append(modal, children);
			dom.append(document.body, [ E('div', { 'id': 'modal_overlay' }, [ modal ]) ]);
			return modal;
		},

		hideModal() {
			document.querySelectorAll('#modal_overlay').forEach(node => node.remove());
		},

		addNotification(title, children, ...classes) {
			const node = E('div', { 'class': [ 'alert-message', 'notice', ...classes ].join(' ') }, title ? [ E('h4', {}, [ title ]) ] : []);

			dom.append(node, children);
			document.getElementById('maincontent').prepend(node);
			return node;
		},

		createHandlerFn(ctx, fn, ...args) {
			if (typeof fn == 'string')
				fn = ctx[fn];

			return ev => {
				const button = ev.currentTarget;

				button.classList.add('spinning');
				button.disabled = true;
				Promise.resolve(fn.call(ctx, ...args, ev)).finally(() => {
					button.classList.remove('spinning');
					button.disabled = false;
				});
			};
		}
	};

	class View {
		constructor() {
			const place = document.getElementById('view');

			dom.content(place, E('div', { 'class': 'spinning' }, _('Loading view…')));
			this.done = Promise.resolve(this.load()).then(data => this.render(data)).then(nodes => {
				dom.content(place, nodes);
				if (this.handleSaveApply || this.handleSave || this.handleReset)
					dom.append(place, [ E('div', { 'class': 'cbi-page-actions' }, [ 'Save' ]) ]);
			});
		}

		static extend(members) {
			const made = class extends View {};

			Object.defineProperties(made.prototype, Object.getOwnPropertyDescriptors(members));
			return made;
		}
	}
	View.prototype.load = View.prototype.render = () => {};
	View.prototype.handleSave = View.prototype.handleSaveApply = View.prototype.handleReset = () => {};

	const modules = { dom, poll, rpc, ui, view: View };

	window.L = {
		env,
		hasViewPermission: () => env.sessionid == 'admin'
	};

	window.showView = async path => {
		const source = await (await fetch(`/luci-static/resources/view/${path}.js`)).text();
		const names = [];

		// Directives, with nothing but comments between.
		for (const [ , words ] of source.replace(/^\s*\/\/.*$/mg, '').match(/^(\s*'[^']*';)+/)[0].matchAll(/'([^']*)'/g)) {
			const name = words.match(/^require\s+(\S+)$/);

			if (name && !(name[1] in modules))
				throw new Error(`the page requires ${name[1]}, which the stand-in does not have`);
			if (name)
				names.push(name[1]);
		}

		const factory = new Function('window', 'document', 'L', ...names, `${source}\n//# sourceURL=${path}.js`);

		await new (factory(window, document, L, ...names.map(name => modules[name])))().done;
	};
})();
