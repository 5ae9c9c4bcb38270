import { runner, starter } from './support.ts';

/** A daemon in small: starts the jobs that it is told to, tells when they run, and waits to be killed. */
const { tools } = runner();
process.on('message', ({ workspace, calls }: { workspace: string; calls: [string, { [key: string]: unknown }][] }) => {
  const start = starter(tools, workspace);
  for (const [name, args] of calls) start(name, args, 60_000);
  process.send?.('started');
});
