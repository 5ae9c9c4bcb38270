import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { optaPaths } from '../../src/config/paths.ts';
import { projectConfig } from '../../src/config/project.ts';
import { decideTrust } from '../../src/config/trust.ts';
import { checkedLog, ofTurn, openWorld, say, type World } from './world.ts';

/** Rules of a project's own file, enforced by the daemon for whoever submits a turn. */
let world: World;
beforeAll(async () => {
  // Short, since what is asked is answered by nobody.
  world = await openWorld({ config: { permissions: { deadlineMs: 400 } } });
});
afterAll(async () => {
  await world?.close();
});
let sessionId: string;
beforeEach(async () => {
  sessionId = await world.daemon.create({ workspace: world.workspace });
});

const put = (content: unknown): void => {
  mkdirSync(join(world.workspace, '.opta'), { recursive: true });
  const text = typeof content === 'string' ? content : JSON.stringify(content);
  writeFileSync(join(world.workspace, '.opta', 'config.json'), text);
};
const trust = async (): Promise<void> => {
  const env = { OPTA_HOME: world.daemon.home, HOME: world.daemon.home };
  const { file, sha256 } = projectConfig(world.workspace, env) ?? { file: '', sha256: '' };
  await decideTrust(optaPaths(env), file, { sha256, trusted: true });
};
/** Runs a turn that writes a file, with everything allowed by the client; says who decided. */
const write = async (path: string, overrides: object): Promise<{ written: boolean; by: string }> => {
  const socket = await world.daemon.socket(sessionId);
  const content = say({ tools: [{ name: 'write_file', args: { path, content: 'x' } }], text: 'finished' });
  const { turnId } = await world.daemon.submit(sessionId, { content, mode: 'do', overrides });
  await socket.terminal(turnId);
  const { records, violations } = checkedLog(sessionId, await world.daemon.log(sessionId));
  expect(violations).toEqual([]);
  const decided = ofTurn(records, turnId).find((r) => r.event === 'permission.resolved' || r.event === 'tool.start');
  const by = decided && 'decidedBy' in decided.payload ? decided.payload.decidedBy : '';
  return { written: existsSync(join(world.workspace, path)), by: by ?? '' };
};

describe('a project file in a running daemon', () => {
  test('[PM5][CF2] its deny is final, though nobody trusted it and the client allows everything', async () => {
    put({ permissions: { rules: [{ tool: 'write_file', path: '*.env', action: 'deny' }] } });
    expect(await write('a.env', { dangerous: true })).toMatchObject({ written: false, by: 'rule:user:write_file' });
    expect(await write('a.txt', { dangerous: true })).toMatchObject({ written: true });
  });

  test('[CF3] its allow counts from the next turn on once the file is trusted, and not after it changed', async () => {
    put({ permissions: { rules: [{ tool: 'write_file', action: 'allow' }] } });
    expect((await write('untrusted.txt', { auto: false })).written).toBe(false);
    await trust();
    expect(await write('trusted.txt', {})).toEqual({ written: true, by: 'rule:user:write_file' });
    put({ permissions: { rules: [{ tool: 'write_*', action: 'allow' }] } });
    expect((await write('changed.txt', {})).written).toBe(false);
  });

  test('[PM5] one that cannot be understood denies everything until it is corrected', async () => {
    put('{"permissions": ');
    expect(await write('broken.txt', { dangerous: true })).toEqual({ written: false, by: 'rule:user:write_file' });
    put({});
    expect((await write('corrected.txt', { dangerous: true })).written).toBe(true);
  });
});
