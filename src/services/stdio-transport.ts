import { type ChildProcess, spawn } from 'node:child_process';
import type { JSONRPCMessage, ReadBuffer, Transport } from '@modelcontextprotocol/client';
import { SWEEP } from '../tools/process-launch.ts';
import type { StdioServer } from './connection.ts';

type Sdk = typeof import('@modelcontextprotocol/client');

const STDERR_CHARS_MAX = 2_000;
/** For a server that ends by itself when its input is closed, and then for one that ends when it is told to. */
const PATIENCE_MS = 500;

interface StdioWorld {
  env: { [name: string]: string };
  cwd: string;
  /** `NAME=value` in its environment; with it the server ends when this process does, however that ends ([MC4]). */
  mark?: string;
}

/**
 * A server as the leader of its own process group. `npx` and its kind start the real server as a child, which outlives them; so it is
 * the group that is ended, always, whatever the server itself does ([MC3]).
 */
export class GroupTransport implements Transport {
  onmessage?: (message: JSONRPCMessage) => void;
  onclose?: () => void;
  onerror?: (error: Error) => void;
  readonly #server: StdioServer;
  readonly #world: StdioWorld;
  readonly #sdk: Sdk;
  readonly #buffer: ReadBuffer;
  #child: ChildProcess | null = null;
  #exited: Promise<void> = Promise.resolve();
  /** Its pipes are closed as well: what it said last has been read. */
  #silent: Promise<void> = Promise.resolve();
  #ended: string | null = null;
  #stderr = '';

  constructor(sdk: Sdk, server: StdioServer, world: StdioWorld) {
    this.#sdk = sdk;
    this.#server = server;
    this.#world = world;
    this.#buffer = new sdk.ReadBuffer();
  }

  /** Why it ended by itself, with its last words; null while it runs. */
  get ended(): string | null {
    const words = this.#stderr.trim();
    return this.#ended === null || words === '' ? this.#ended : `${this.#ended}: ${words}`;
  }

  /** The same, with a moment for the news to come: a write to one that has just died may fail first. */
  async endedSoon(): Promise<string | null> {
    await within(this.#silent, PATIENCE_MS);
    return this.ended;
  }

  start(): Promise<void> {
    const { command, args, env } = this.#server;
    return new Promise((resolve, reject) => {
      const { cwd, mark } = this.#world;
      const [program, words] = mark === undefined ? [command, args] : guarded(command, args);
      const marked = mark === undefined ? {} : Object.fromEntries([mark.split('=', 2) as [string, string]]);
      const child = spawn(program, words, {
        cwd,
        env: { ...this.#world.env, ...env, ...marked },
        // The last is the guard's: it closes when we die.
        stdio: ['pipe', 'pipe', 'pipe', mark === undefined ? 'ignore' : 'pipe'],
        detached: true,
      });
      child.stdio[3]?.on('error', () => undefined);
      // Its guard ends what it left behind; as long as that is there the pipes are not closed.
      child.once('exit', () => child.stdio[3]?.destroy());
      this.#child = child;
      this.#exited = new Promise((done) => {
        child.once('exit', (code, signal) => {
          this.#ended = `the server ended with ${signal ?? `exit code ${code}`}`;
          done();
        });
        child.once('error', () => done());
      });
      child.once('error', (cause: NodeJS.ErrnoException) => {
        this.#ended =
          cause.code === 'ENOENT' ? `${command} cannot be found` : `${command} cannot be run (${cause.code})`;
        reject(new Error(this.#ended));
      });
      child.once('spawn', () => {
        live.add(child.pid as number);
        resolve();
      });
      this.#silent = new Promise((done) => {
        child.once('close', () => {
          done();
          this.onclose?.();
        });
      });
      child.stdin?.on('error', (cause) => this.onerror?.(cause));
      child.stdout?.on('error', (cause) => this.onerror?.(cause));
      child.stdout?.on('data', (chunk: Buffer) => this.#read(chunk));
      child.stderr?.setEncoding('utf8').on('data', (text: string) => {
        this.#stderr = (this.#stderr + text).slice(-STDERR_CHARS_MAX);
      });
    });
  }

  send(message: JSONRPCMessage): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#child?.stdin?.write(this.#sdk.serializeMessage(message), (cause) => (cause ? reject(cause) : resolve()));
    });
  }

  /** Resolves when nothing of its group is left. */
  async close(): Promise<void> {
    const child = this.#child;
    if (child?.pid === undefined) return;
    this.#child = null;
    child.stdin?.end();
    await within(this.#exited, PATIENCE_MS);
    signalGroup(child.pid, 'SIGTERM');
    await within(this.#exited, PATIENCE_MS);
    signalGroup(child.pid, 'SIGKILL');
    live.delete(child.pid);
    // One that left the group may still hold a pipe.
    for (const pipe of [child.stdin, child.stdout, child.stderr]) pipe?.destroy();
    await within(this.#exited, PATIENCE_MS);
  }

  #read(chunk: Buffer): void {
    try {
      this.#buffer.append(chunk);
      for (let message = this.#buffer.readMessage(); message !== null; message = this.#buffer.readMessage())
        this.onmessage?.(message);
    } catch (cause) {
      // Too much, or something that is no message: the transport is of no use any more.
      this.onerror?.(cause instanceof Error ? cause : new Error(String(cause)));
      this.#ended = 'the server said something that cannot be understood';
      if (this.#child?.pid !== undefined) signalGroup(this.#child.pid, 'SIGKILL');
    }
  }
}

/** The guard is forked first, so that it is there whatever the server does. */
const guarded = (command: string, args: readonly string[]): [string, string[]] => [
  '/bin/sh',
  [
    '-c',
    `( (trap "" TERM INT HUP; read -r _ <&3; ${SWEEP}; kill -9 0) </dev/null >/dev/null 2>&1 & ); exec "$@" 3<&-`,
    'opta',
    command,
    ...args,
  ],
];

/** Groups that run now: whoever ends this process early ends them too. */
const live = new Set<number>();
process.on('exit', () => {
  for (const group of live) signalGroup(group, 'SIGKILL');
});

const signalGroup = (group: number, signal: NodeJS.Signals): void => {
  try {
    process.kill(-group, signal);
  } catch (cause) {
    // Gone, or (macOS) all of it dead: that is what was wanted.
    if (!['ESRCH', 'EPERM'].includes((cause as NodeJS.ErrnoException).code ?? '')) throw cause;
  }
};

const within = async (what: Promise<void>, ms: number): Promise<void> => {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, ms);
  });
  await Promise.race([what, late]);
  clearTimeout(timer);
};
