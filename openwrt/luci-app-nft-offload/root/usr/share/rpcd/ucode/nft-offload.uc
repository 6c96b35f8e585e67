// SPDX-License-Identifier: GPL-2.0-only
//
// The ubus object luci.nft-offload: what the command nft-offload says, which knows
// the module's files. Who may call what stands in acl.d/luci-app-nft-offload.json.
//
// Only what JavaScript has as well, but for import and return: the tests run it as that.

'use strict';

import { popen } from 'fs';

function quoted(word) {
	return "'" + replace(word, "'", "'\\''") + "'";
}

// What it prints, and if it did not end well, the error, in words.
function nft_offload(words) {
	const pipe = popen('nft-offload ' + join(' ', map(words, word => quoted(word))) + ' 2>&1', 'r');

	if (!pipe)
		return { error: 'no program can be started' };

	const text = pipe.read('all');
	const code = pipe.close();

	if (code == 127)
		return { error: 'the command nft-offload is missing: install it' };
	if (code == 0)
		return { text: text };

	const said = replace(trim(text), 'nft-offload: ', '');

	return { error: said ? said : 'nft-offload ended with status ' + code, text: code == 1 ? text : null };
}

function ask(words) {
	const answer = nft_offload(words);

	// With status 1 it prints JSON as well, that of an engine that stopped answering.
	if (answer.error && !answer.text)
		return { error: answer.error };

	try {
		return json(answer.text);
	}
	catch (e) {
		return { error: answer.error ? answer.error : 'nft-offload printed no JSON: ' + e };
	}
}

function tell(engine, words) {
	const answer = nft_offload(engine ? [ '--engine', engine, ...words ] : words);

	return answer.error ? { error: answer.error } : { done: true };
}

// A list that is no longer than a page can show.
function list(args, words) {
	const limit = args.limit >= 1 && args.limit <= 1000 ? args.limit : 100;

	return ask([ ...words, '--json', '--limit', '' + limit,
		...(args.address ? [ '--addr', args.address ] : []) ]);
}

const methods = {
	// Engines with ports, policy and all counters.
	status: {
		call: function() {
			return ask([ 'status', '--json' ]);
		}
	},

	stats: {
		call: function() {
			return ask([ 'stats', '--json' ]);
		}
	},

	// Those with most bytes first.
	flows: {
		args: { limit: 100, address: '' },
		call: function(request) {
			return list(request.args, [ 'flows', '--state', 'bound' ]);
		}
	},

	refused: {
		args: { limit: 100, address: '' },
		call: function(request) {
			return list(request.args, [ 'refused' ]);
		}
	},

	pause: {
		args: { engine: '', on: true },
		call: function(request) {
			return tell(request.args.engine, [ 'pause', request.args.on ? 'on' : 'off' ]);
		}
	},

	flush: {
		args: { engine: '' },
		call: function(request) {
			return tell(request.args.engine, [ 'flush', 'all' ]);
		}
	}
};

return { 'luci.nft-offload': methods };
