// SPDX-License-Identifier: GPL-2.0-only
//
// A stand-in for rpcd with rpcd-mod-ucode, for tests only: ucode is in no package of
// Debian, so the backend is run as JavaScript, with those functions of ucode that it
// uses. Reads calls, { method, args } a line, and prints what ubus answers: [status] or
// [status, result].
//
// usage: node rpcd.mjs [methods]
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';

const FILE = new URL('../root/usr/share/rpcd/ucode/nft-offload.uc', import.meta.url);

const ucode = {
	join: (separator, list) => list.join(separator),
	map: (list, fn) => list.map(value => fn(value)),
	replace: (text, pattern, by) => text.replaceAll(pattern, () => by),
	trim: text => text.trim(),
	json: text => JSON.parse(text)
};
const modules = {
	fs: {
		popen(command) {
			const done = spawnSync('sh', [ '-c', command ], { encoding: 'utf8', maxBuffer: 1 << 26 });
			return { read: () => done.stdout, close: () => done.status };
		}
	}
};

// ucode has 'return' in a file, and imports that JavaScript takes for modules of its own.
const imports = [];
const source = readFileSync(FILE, 'utf8').replace(/^import \{ ([\w, ]+) \} from '(\w+)';$/mg, (all, names, from) => {
	imports.push(...names.split(', ').map(name => [ name, modules[from][name] ]));
	return '';
});
const names = [ ...imports, ...Object.entries(ucode) ];
const objects = new Function(...names.map(([ name ]) => name), source)(...names.map(([ , value ]) => value));

function answer({ method, args }) {
	const { call, args: known = {} } = objects['luci.nft-offload'][method];
	// As rpcd has it: no argument that is not declared, and each of the declared type.
	const wrong = Object.keys(args).some(name => !(name in known) || typeof args[name] != typeof known[name]);

	for (const name of Object.keys(known))
		args[name] ??= null;

	const result = wrong ? null : call({ args });

	return wrong ? [ 2 ] : result === null || typeof result != 'object' ? [ 5 ] : [ 0, result ];
}

if (process.argv[2] == 'methods')
	console.log(JSON.stringify(Object.fromEntries(Object.entries(objects).map(([ name, methods ]) => [ name, Object.keys(methods) ]))));
else
	createInterface(process.stdin).on('line', line => console.log(JSON.stringify(answer(JSON.parse(line)))));
