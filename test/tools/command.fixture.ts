import { realClock } from '../../src/platform.ts';
import { identityOf } from '../../src/process-identity.ts';
import { createProcesses } from '../../src/tools/background.ts';
import { createTools } from '../../src/tools/runner.ts';
import { findSandbox } from '../../src/tools/sandbox/sandbox.ts';

/** A process that runs one command for good, to be killed by its test. */
const [workspace = '', command = ''] = process.argv.slice(2);
const log = { info: () => undefined, warn: console.error, error: console.error };
const sandbox = findSandbox({ mode: 'auto', home: '/nowhere', own: [], readable: [], writable: [] });
const processes = createProcesses({ clock: realClock, log, identityOf, sandbox });
const tools = createTools({ clock: realClock, log, commands: processes });
const call = { sessionId: 's', turnId: 't', callId: 'c', name: 'run_command', args: { command }, workspace };
tools.start({ ...call, deniedPaths: [], deadlineMs: 1e6, confined: true }, (result) => console.error(result));
