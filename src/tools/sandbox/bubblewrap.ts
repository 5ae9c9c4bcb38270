import type { Confinement } from './confinement.ts';

/**
 * The arguments of bubblewrap for a confinement. Later ones lie over earlier ones: first everything read-only, then what is hidden,
 * then what is put back. Processes, users and System V objects are namespaces of their own; when the outer bwrap ends, however it
 * does, the kernel ends everything inside.
 */
export const bubblewrapArgs = (c: Confinement): string[] => [
  '--unshare-user-try',
  '--unshare-pid',
  '--unshare-ipc',
  '--unshare-uts',
  '--unshare-cgroup-try',
  ...(c.network ? [] : ['--unshare-net']),
  '--die-with-parent',
  // No terminal of ours, so nothing can be typed into it.
  '--new-session',
  '--cap-drop',
  'ALL',
  ...['--ro-bind', '/', '/'],
  ...['--dev', '/dev'],
  ...['--proc', '/proc'],
  ...c.hidden.flatMap((path) => ['--tmpfs', path]),
  ...c.blanked.flatMap((path) => ['--ro-bind', '/dev/null', path]),
  ...['--tmpfs', '/tmp'],
  ...c.readable.flatMap((path) => ['--ro-bind', path, path]),
  ...c.writable.flatMap((path) => ['--bind', path, path]),
  ...['--bind', c.workspace, c.workspace],
  // Bound onto itself it is a mount point, which cannot be renamed.
  ...c.pinned.flatMap((path) => ['--bind', path, path]),
  ...c.frozen.flatMap((path) => ['--ro-bind', path, path]),
  ...(c.network ? RESOLVER : []),
  ...['--chdir', c.cwd],
  '--',
];

/** Names are looked up by a file that often lies in the hidden /run. */
const RESOLVER = ['/run/systemd/resolve', '/run/resolvconf', '/run/NetworkManager'].flatMap((path) => [
  '--ro-bind-try',
  path,
  path,
]);
