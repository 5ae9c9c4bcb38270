import { identityOf } from '../../src/process-identity.ts';
import { createProcesses } from '../../src/tools/background.ts';
import { clock, recordingLog } from './support.ts';

/** A daemon with two background processes: one that has begun, one that waits for its word. Says their pids and waits to be killed. */
const [, , cwd = '/'] = process.argv;
const port = createProcesses({ clock, log: recordingLog(), identityOf });
const pids: number[] = [];
const start = (script: string, goes: boolean): void => {
  const handle = port.start(
    { processId: `fixture${process.pid}x${script.length}`, argv: ['sh', '-c', script], cwd },
    {
      spawned: ({ pid }) => {
        pids[goes ? 0 : 1] = pid;
        if (goes) handle.go();
        if (pids[0] !== undefined && pids[1] !== undefined) process.stdout.write(`${pids.join(' ')}\n`);
      },
      output: () => undefined,
      gone: () => undefined,
      failed: () => process.exit(1),
    },
  );
};
start('trap "" TERM HUP INT; sleep 100; sleep 100', true);
start('echo > began', false);
setInterval(() => undefined, 1_000);
