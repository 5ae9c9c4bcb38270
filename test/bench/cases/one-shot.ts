import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { Connection } from '../http.ts';
import { type Daemon, removeHome, tempHome } from '../processes.ts';
import { figure } from '../stats.ts';
import { type World, withDaemon } from '../world.ts';

const TARGET_MS = 120;
const RUNS = 3;

const spawned = async (args: readonly string[], home: string, cwd: string): Promise<{ ms: number; out: string }> => {
  const startedAt = performance.now();
  const env = { ...process.env, OPTA_HOME: home, OPTA_LOOPBACK_ONLY: '1', OPTA_HOST: '127.0.0.1' };
  const child = spawn(process.execPath, args, { cwd, env, stdio: ['ignore', 'pipe', 'ignore'] });
  let out = '';
  child.stdout.on('data', (chunk) => {
    out += chunk;
  });
  const code = await new Promise((resolve) => child.once('close', resolve));
  if (code !== 0) throw new Error(`${args.join(' ')} ended with ${code}: ${out}`);
  return { ms: performance.now() - startedAt, out };
};

/** The whole command, less what the model took from the request to its last frame. */
const once = async (world: World, daemon: Daemon, source: Connection, cwd: string): Promise<number> => {
  const command = [join(world.app, 'bin', 'opta.js'), 'do', 'bench tokens=50 tps=200 first=1'];
  const { ms, out } = await spawned(command, daemon.home, cwd);
  if (!out.includes(' 49:')) throw new Error(`the answer is not all there: ${out}`);
  const { answerMs } = JSON.parse((await source.request('GET', '/last')).body);
  return ms - answerMs;
};

export const oneShot = (world: World): Promise<void> =>
  withDaemon(world, async (daemon) => {
    const cwd = tempHome();
    const source = new Connection(world.source.port);
    try {
      await once(world, daemon, source, cwd);
      const over: number[] = [];
      const bare: number[] = [];
      for (let i = 0; i < world.reps * RUNS; i++) {
        bare.push((await spawned(['-e', '0'], daemon.home, cwd)).ms);
        over.push(await once(world, daemon, source, cwd));
      }
      const ours = figure(over);
      const what = 'opta do, warm daemon, over the model’s time';
      world.add({
        case: 'i',
        what,
        unit: ' ms',
        ours,
        peer: figure(bare),
        peerName: 'node -e 0',
        target: `≤ ${TARGET_MS} ms`,
        met: ours.median <= TARGET_MS,
      });
    } finally {
      source.close();
      removeHome(cwd);
    }
  });
