import { fork } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import type { Env } from '../../config/paths.ts';
import { OptaError } from '../../protocol/errors.ts';

export type KeyringRequest =
  | { op: 'get' | 'has' | 'delete'; account: string }
  | { op: 'set'; account: string; secret: string };

/** `get`: the secret or null. `has`: whether there is one. `set`: whether it can be read back. `delete`: whether there was one. */
export type KeyringAnswer = string | boolean | null;

export interface KeyringAsk {
  service: string;
  requests: readonly KeyringRequest[];
}

export type KeyringReply = { alive: true } | { answers: KeyringAnswer[] } | { failed: string };

export interface KeyringWait {
  /** Until the keyring has given a sign of life. */
  aliveMs: number;
  /** Until everything is answered; a person may have to unlock the keyring first. */
  totalMs: number;
}

/** The keyring of the operating system. */
export interface Keyring {
  name: string;
  /** Why there is no point in asking, or null. */
  absent: string | null;
  /** Rejects with `keyring-unavailable`, which says why. */
  ask(ask: KeyringAsk, wait: KeyringWait): Promise<KeyringAnswer[]>;
}

const NAMES: { [platform: string]: string } = {
  darwin: 'macOS Keychain',
  win32: 'Windows Credential Manager',
  linux: 'Secret Service',
};

export const systemKeyring = (env: Env, platform: string = process.platform): Keyring => {
  const name = NAMES[platform];
  const bus = platform === 'linux' ? busOf(env) : undefined;
  const absent =
    name === undefined
      ? `no keyring is known for ${platform}`
      : platform === 'linux' && bus === undefined
        ? 'there is no session bus, so no Secret Service (DBUS_SESSION_BUS_ADDRESS is not set)'
        : null;
  return {
    name: name ?? 'the keyring of the system',
    absent,
    ask: (ask, wait) => {
      if (absent !== null) return Promise.reject(unavailable(absent));
      return inChild(ask, wait, bus === undefined ? env : { ...env, DBUS_SESSION_BUS_ADDRESS: bus });
    },
  };
};

export const unavailable = (why: string): OptaError => new OptaError('keyring-unavailable', why);

/** As a login shell has it, or where systemd puts it for a daemon that was not started from one. */
const busOf = (env: Env): string | undefined => {
  if (env.DBUS_SESSION_BUS_ADDRESS) return env.DBUS_SESSION_BUS_ADDRESS;
  const socket = env.XDG_RUNTIME_DIR ? join(env.XDG_RUNTIME_DIR, 'bus') : undefined;
  return socket !== undefined && existsSync(socket) ? `unix:path=${socket}` : undefined;
};

const fromSource = import.meta.url.endsWith('.ts');
/** From source the child needs the loader that we have, named by its file. */
const loader = (): string[] =>
  fromSource ? ['--import', pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href] : [];

const inChild = (ask: KeyringAsk, wait: KeyringWait, env: Env): Promise<KeyringAnswer[]> =>
  new Promise((resolve, reject) => {
    const file = fileURLToPath(new URL(`./keyring-child.${fromSource ? 'ts' : 'js'}`, import.meta.url));
    const child = fork(file, [], {
      env: { ...env },
      execArgv: loader(),
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    });
    const settle = (end: () => void): void => {
      clearTimeout(timer);
      child.removeAllListeners();
      child.on('error', () => undefined);
      child.kill('SIGKILL');
      end();
    };
    const fail = (why: string): void => settle(() => reject(unavailable(why)));
    const within = (ms: number): NodeJS.Timeout => setTimeout(() => fail(`it did not answer within ${ms} ms`), ms);
    const begun = Date.now();
    let timer = within(Math.min(wait.aliveMs, wait.totalMs));
    child.on('message', (reply: KeyringReply) => {
      if ('failed' in reply) fail(reply.failed);
      else if ('answers' in reply) settle(() => resolve(reply.answers));
      else {
        clearTimeout(timer);
        timer = within(Math.max(1, wait.totalMs - (Date.now() - begun)));
      }
    });
    child.on('error', (cause) => fail(cause.message));
    child.on('exit', (code, signal) => fail(`its process ended with ${signal ?? code}`));
    child.send(ask, (cause) => {
      if (cause) fail(cause.message);
    });
  });
