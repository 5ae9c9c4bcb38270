import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, afterEach, beforeEach, describe, expect, test } from 'vitest';
import { LIMITS } from '../../src/actors/limits.ts';
import type { FileChange, Restored } from '../../src/actors/ports.ts';
import { foldChanges, type TurnFiles } from '../../src/protocol/files.ts';
import { deleteFile } from '../../src/tools/builtin/delete-file.ts';
import { editFile } from '../../src/tools/builtin/edit-file.ts';
import { restoreFiles } from '../../src/tools/builtin/restore-files.ts';
import { writeFile } from '../../src/tools/builtin/write-file.ts';
import { getBlob, hashOf, sweepVersions, Versions } from '../../src/tools/versions.ts';
import { Workspace } from '../../src/tools/workspace.ts';

/** Taking back what a turn did to files, with the tools that do it. */
let top: string;
let ws: string;
let dir: string;
beforeEach(() => {
  top = fs.realpathSync(fs.mkdtempSync(join(fs.existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'opta-undo-')));
  ws = join(top, 'ws');
  dir = join(top, 'versions');
  fs.mkdirSync(ws);
});
afterEach(() => fs.rmSync(top, { recursive: true, force: true }));
afterAll(() => undefined);

const within = <T>(work: (workspace: Workspace) => T, versions: Versions | null = null): T => {
  const workspace = new Workspace(ws, { versions });
  try {
    return work(workspace);
  } finally {
    workspace.close();
  }
};
/** One call of a tool, and what it changed. */
const call = (work: (workspace: Workspace) => unknown): FileChange[] => {
  const versions = new Versions(dir);
  try {
    within(work, versions);
  } catch {
    // A call that fails has changed nothing, or says what.
  }
  return versions.changes;
};
const bounds = () => ({ outputBytesMax: 1 << 20, deadlineMs: 9_000, versionsDir: dir });
const undo = (changes: FileChange[], whole = true, dryRun = false): Restored =>
  JSON.parse(within((w) => restoreFiles(w, { changes, whole, dryRun }, bounds())).result) as Restored;
const net = (changes: FileChange[]): FileChange[] => (foldChanges([], 't', changes) as TurnFiles[])[0]?.changes ?? [];
const tree = (): { [path: string]: string } =>
  Object.fromEntries(
    fs
      .readdirSync(ws, { recursive: true, withFileTypes: true })
      .filter((e) => e.isFile())
      .map((e) => [
        join(e.parentPath, e.name).slice(ws.length + 1),
        fs.readFileSync(join(e.parentPath, e.name), 'latin1'),
      ]),
  );

const name = fc.constantFrom('a.txt', 'b.txt', 'sub/c.txt');
const content = fc.constantFrom('', 'one', 'one two', 'one\r\n$& two', 'é\u0000x', 'one one');
const act = fc.oneof(
  fc.record({ kind: fc.constant('write' as const), path: name, content }),
  fc.record({ kind: fc.constant('edit' as const), path: name, content }),
  fc.record({ kind: fc.constant('delete' as const), path: name, content }),
);
const carry = (a: { kind: 'write' | 'edit' | 'delete'; path: string; content: string }) => (w: Workspace) => {
  if (a.kind === 'write') return writeFile(w, { path: a.path, content: a.content });
  if (a.kind === 'delete') return deleteFile(w, { path: a.path });
  return editFile(w, { path: a.path, old_text: 'one', new_text: a.content });
};
const reset = (files: readonly (readonly [string, string])[]): void => {
  fs.rmSync(ws, { recursive: true });
  fs.mkdirSync(join(ws, 'sub'), { recursive: true });
  for (const [path, text] of files) fs.writeFileSync(join(ws, path), text);
};

describe('[TL4] the undo law', () => {
  test('[TL4] whatever a turn did, undo gives back the very bytes of before, what was not committed included', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(name, content)), fc.array(act, { maxLength: 8 }), (before, acts) => {
        reset(before);
        const was = tree();
        const changes = net(acts.flatMap((a) => call(carry(a))));
        const { kept } = undo(changes);
        expect(kept).toEqual([]);
        expect(tree()).toEqual(was);
        // Once more changes nothing: a crash in the middle is ended by a second try.
        expect(undo(changes).kept).toEqual([]);
        expect(tree()).toEqual(was);
      }),
      { numRuns: 150 },
    );
  });

  test('[TL4] what somebody changed since stays, and then nothing is taken back; in a rollback everything else is', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(name, content)),
        fc.array(act, { minLength: 1, maxLength: 6 }),
        name,
        fc.option(fc.constantFrom('mine', 'also mine')),
        (before, acts, path, own) => {
          reset(before);
          const was = tree();
          const changes = net(acts.flatMap((a) => call(carry(a))));
          if (own === null) fs.rmSync(join(ws, path), { force: true });
          else fs.writeFileSync(join(ws, path), own);
          const now = tree();
          const mine = changes.find((c) => c.path === path);
          const isMine = mine && hash(now[path]) !== mine.after?.blob && hash(now[path]) !== mine.before?.blob;
          const dry = undo(changes, true, true);
          expect(tree()).toEqual(now);
          const { restored, kept } = undo(changes);
          expect({ restored, kept }).toEqual(dry);
          if (isMine) {
            expect(kept).toEqual([{ path, why: 'it was changed since' }]);
            expect(tree()).toEqual(now);
            undo(changes, false);
            const { [path]: _, ...others } = was;
            const { [path]: left, ...rest } = tree();
            expect(left).toBe(now[path]);
            expect(rest).toEqual(others);
          } else expect(kept).toEqual([]);
        },
      ),
      { numRuns: 150 },
    );
  });

  test('[TL4] the mode comes back with a file that was deleted; a link that leads out is not followed', () => {
    fs.writeFileSync(join(ws, 'run.sh'), 'one', { mode: 0o755 });
    const gone = call((w) => deleteFile(w, { path: 'run.sh' }));
    expect(undo(gone)).toEqual({ restored: ['run.sh'], kept: [] });
    expect(fs.statSync(join(ws, 'run.sh')).mode & 0o777).toBe(0o755);
    const again = call((w) => writeFile(w, { path: 'run.sh', content: 'two' }));
    fs.writeFileSync(join(top, 'outside'), 'two');
    fs.rmSync(join(ws, 'run.sh'));
    fs.symlinkSync(join(top, 'outside'), join(ws, 'run.sh'));
    expect(undo(again).kept).toMatchObject([{ path: 'run.sh' }]);
    expect(fs.readFileSync(join(top, 'outside'), 'utf8')).toBe('two');
  });

  test('[TL4] a content that is not kept, or not any more, is never guessed', () => {
    fs.writeFileSync(join(ws, 'big'), Buffer.alloc(LIMITS.toolEditBytesMax + 1, 'x'));
    const big = call((w) => writeFile(w, { path: 'big', content: 'small' }));
    expect(big[0]?.before).toMatchObject({ blob: null });
    expect(undo(big).kept).toEqual([{ path: 'big', why: 'its earlier content is not kept any more' }]);
    expect(fs.readFileSync(join(ws, 'big'), 'utf8')).toBe('small');
    fs.writeFileSync(join(ws, 'a'), 'one');
    const small = call((w) => writeFile(w, { path: 'a', content: 'two' }));
    expect(sweepVersions(dir, Date.now() + LIMITS.versionsKeptMs + 1_000)).toBeGreaterThan(0);
    expect(undo(small).kept).toEqual([{ path: 'a', why: 'its earlier content is not kept any more' }]);
  });

  test('[TL4] nothing is written that could not be kept first', () => {
    fs.writeFileSync(join(ws, 'a'), 'one');
    fs.writeFileSync(dir, 'a file where the folder should be');
    const versions = new Versions(dir);
    expect(() => within((w) => writeFile(w, { path: 'a', content: 'two' }), versions)).toThrow(/nothing was written/);
    expect(fs.readFileSync(join(ws, 'a'), 'utf8')).toBe('one');
    expect(fs.readdirSync(ws)).toEqual(['a']);
  });

  test('[TL4] what is kept is whole, for its owner alone, and once however often it is needed', () => {
    const changes = ['x', 'y', 'x'].flatMap((text) => call((w) => writeFile(w, { path: 'a', content: text })));
    expect(changes).toHaveLength(3);
    const files = fs.readdirSync(dir, { recursive: true, withFileTypes: true }).filter((e) => e.isFile());
    expect(files.map((e) => e.name).sort()).toEqual([hashOf(Buffer.from('x')), hashOf(Buffer.from('y'))].sort());
    for (const e of files) expect(fs.statSync(join(e.parentPath, e.name)).mode & 0o777).toBe(0o600);
    const [first] = files;
    if (!first) throw new Error('nothing is kept');
    fs.writeFileSync(join(first.parentPath, first.name), 'damaged');
    expect(getBlob(dir, first.name)).toBeNull();
  });
});

const hash = (text: string | undefined): string | undefined =>
  text === undefined ? undefined : hashOf(Buffer.from(text, 'latin1'));
