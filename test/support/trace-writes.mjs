// Loaded before a program with --import: writes down, in the file that TRACE_FILE names, what the program creates below TRACE_ROOT,
// which sockets it opens, and which daemon it starts.
import childProcess from 'node:child_process';
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import net from 'node:net';

const { TRACE_FILE: file, TRACE_ROOT: root } = process.env;
const append = fs.appendFileSync;
const note = (what) => append(file, `${what}\n`);

for (const name of [
  'mkdirSync',
  'writeFileSync',
  'appendFileSync',
  'openSync',
  'linkSync',
  'renameSync',
  'chmodSync',
]) {
  const before = fs[name];
  fs[name] = (...args) => {
    const reads = name === 'openSync' && typeof args[1] === 'number' && (args[1] & 3) === 0;
    if (!reads && args[0] !== file && String(args[0]).startsWith(root)) note(`${name} ${args[0]}`);
    return before(...args);
  };
}
for (const [name, owner] of [
  ['listen', net.Server.prototype],
  ['connect', net.Socket.prototype],
]) {
  const before = owner[name];
  owner[name] = function (...args) {
    // A pipe to a child is no port.
    const [to] = Array.isArray(args[0]) ? args[0] : args;
    if (typeof to === 'number' || to?.port !== undefined) note(`${name} ${to.port ?? to}`);
    return before.apply(this, args);
  };
}
const spawn = childProcess.spawn;
childProcess.spawn = (command, args, ...rest) => {
  if (Array.isArray(args) && args.some((arg) => /main\.(ts|js)$/.test(arg))) note('spawn daemon');
  return spawn(command, args, ...rest);
};
syncBuiltinESMExports();
