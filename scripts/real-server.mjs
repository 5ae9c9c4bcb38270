import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { installInto } from './lib/npm-folder.mjs';
import { ensureInstalled, ensureNode, loopbackEnv, ROOT, run, runNode, toolPath } from './lib/steps.mjs';
import { writeTinyGguf } from './lib/tiny-gguf.mjs';

/**
 * An OpenAI-compatible server that we did not write, over real inference: `inference-server` on llama.cpp, with a model of
 * random weights that is written here. Nothing of it is a dependency of this project; it lives in `.build/real-server`.
 *
 *   node scripts/real-server.mjs check            install if need be, then run test/compat/openai-server.test.ts against it
 *   node scripts/real-server.mjs install          only that; the one step that uses the network (npm)
 *   node scripts/real-server.mjs serve [--port N] run it on loopback by hand
 *
 * `check` runs the same test against that server and against `opta lmx serve` in front of it, all in a network namespace that has
 * loopback and nothing else.
 */
const FOLDER = join(ROOT, '.build', 'real-server');
const SELF = fileURLToPath(import.meta.url);
/**
 * Optional packages are left out, or the install is six times as large, so the two platform packages are named. llama.cpp's
 * binding is held at a version of the server's own time: with later ones it never ends an answer.
 */
const PLATFORM = `${process.platform}-${process.arch}`;
const PACKAGES = {
  'inference-server': '1.0.0-beta.32',
  'node-llama-cpp': '3.6.0',
  [`@node-llama-cpp/${PLATFORM}`]: '3.6.0',
  [`@img/sharp-${PLATFORM}`]: '0.33.5',
  [`@img/sharp-libvips-${PLATFORM}`]: '1.0.4',
};

const install = () => installInto(FOLDER, PACKAGES);

const serve = async (port) => {
  const modules = join(FOLDER, 'node_modules');
  const { createOpenAIMiddleware, InferenceServer } = await import(
    pathToFileURL(join(modules, 'inference-server', 'dist', 'index.js')).href
  );
  const express = createRequire(join(FOLDER, 'package.json'))('express');
  const location = join(FOLDER, 'tiny-random.gguf');
  writeTinyGguf(location);
  const server = new InferenceServer({
    log: 'warn',
    cachePath: join(FOLDER, 'cache'),
    models: {
      'tiny-random': {
        task: 'text-completion',
        engine: 'node-llama-cpp',
        location,
        // Instructions and the tools' descriptions are read byte by byte: the vocabulary has no words for them.
        contextSize: 16_384,
        minInstances: 1,
        device: { gpu: false, cpuThreads: 1 },
        // A random model does not know when to stop.
        completionDefaults: { temperature: 0, seed: 1, maxTokens: 40 },
      },
    },
  });
  await server.start();
  const http = createServer(express().use(createOpenAIMiddleware(server)));
  http.listen(port, '127.0.0.1', () => process.stdout.write(`http://127.0.0.1:${http.address().port}\n`));
};

/** How long a server may take until it says where it is; a model is loaded meanwhile. */
const READY_MS = 60_000;
/** How long it may take to end by itself. */
const STOP_MS = 10_000;

/** Starts a server that prints its address, runs `use` with it, and ends it again. */
const withServer = async (what, args, env, use) => {
  const child = spawn(process.execPath, args, { cwd: ROOT, stdio: ['ignore', 'pipe', 'inherit'], env });
  const gone = new Promise((resolve) => child.on('close', resolve));
  let late;
  try {
    const url = await new Promise((resolve, reject) => {
      createInterface({ input: child.stdout }).on('line', (line) => {
        const [found] = /http:\/\/127\.0\.0\.1:\d+/.exec(line) ?? [];
        if (found) resolve(found);
      });
      child.on('error', reject);
      child.on('exit', (code) => reject(new Error(`${what} ended with ${code}`)));
      late = setTimeout(() => reject(new Error(`${what} was not up within ${READY_MS / 1000} s`)), READY_MS);
    });
    process.stderr.write(`opta: ${what} on ${url}\n`);
    return await use(url);
  } finally {
    clearTimeout(late);
    child.kill();
    const kill = setTimeout(() => child.kill('SIGKILL'), STOP_MS);
    await gone;
    clearTimeout(kill);
  }
};

const testAgainst = (url) =>
  runNode([toolPath('vitest', 'vitest.mjs'), 'run', 'test/compat/openai-server.test.ts'], {
    env: loopbackEnv({ OPTA_TEST_OPENAI_SERVER: url }),
  });

/** `opta lmx serve` from source, in a home of its own. */
const withLmx = async (what, args, use) => {
  const home = mkdtempSync(join(tmpdir(), 'opta-real-'));
  try {
    const opta = ['--import', 'tsx', join(ROOT, 'src/cli/main.ts'), 'lmx', 'serve', '--port', '0', '--json', ...args];
    return await withServer(`opta lmx serve ${what}`, opta, loopbackEnv({ OPTA_HOME: home }), use);
  } finally {
    rmSync(home, { recursive: true, force: true, maxRetries: 3 });
  }
};

/** A new server is called ready before it has asked the one behind it. */
const listsModels = async (url) => {
  for (const end = Date.now() + READY_MS; Date.now() < end; await sleep(100))
    if ((await fetch(`${url}/readyz`)).ok) return;
  throw new Error(`${url} had no model within ${READY_MS / 1000} s`);
};

/** The same test twice; the first exit code that is not 0. */
const checkHere = () =>
  withServer(Object.keys(PACKAGES)[0], [SELF, 'serve'], process.env, async (url) => {
    const alone = await testAgainst(url);
    if (alone !== 0) return alone;
    return withLmx('in front of it', ['--url', url], async (front) => {
      await listsModels(front);
      return testAgainst(front);
    });
  });

const check = async () => {
  await install();
  if (process.platform !== 'linux') {
    throw new Error('only Linux can keep it off the network: run "serve" yourself, then set OPTA_TEST_OPENAI_SERVER');
  }
  const namespace = process.getuid() === 0 ? ['-n'] : ['-r', '-n'];
  const inside = 'ip link set lo up && exec "$@"';
  return run('unshare', [...namespace, 'sh', '-c', inside, 'sh', process.execPath, SELF, 'check-here']);
};

ensureNode();
const [command, ...rest] = process.argv.slice(2);
if (command === 'install') await install();
else if (command === 'serve') await serve(Number(rest[rest.indexOf('--port') + 1] ?? 0) || 0);
else if (command === 'check-here') process.exitCode = await checkHere();
else if (command === 'check') {
  await ensureInstalled();
  process.exitCode = await check();
} else {
  process.stderr.write('usage: node scripts/real-server.mjs check | install | serve [--port N]\n');
  process.exitCode = 2;
}
