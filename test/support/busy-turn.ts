import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** A turn of many calls in five messages: reads, edits, searches, commands and a background process. For the fake server's `steps`. */
export const BUSY_FILES = 6;

const call = (name: string, args: object) => ({ name, args });
export const eachFile = <T>(make: (i: number) => T): T[] => Array.from({ length: BUSY_FILES }, (_, i) => make(i));

export const BUSY_STEPS = [
  [
    ...eachFile((i) => call('read_file', { path: `f${i}.txt` })),
    call('list_dir', {}),
    call('search_files', { pattern: 'w3' }),
  ],
  eachFile((i) => call('edit_file', { path: `f${i}.txt`, old_text: 'before', new_text: 'after' })),
  [call('run_command', { command: 'cat f*.txt | wc -l' }), call('bg_start', { command: 'echo up; sleep 0.2' })],
  eachFile((i) => call('write_file', { path: `out/g${i}.txt`, content: `${i}\n` })),
  [call('find_files', { pattern: '**/*.txt' }), call('run_command', { command: 'ls out | wc -l' })],
];
export const BUSY_CALLS = BUSY_STEPS.flat().length;

/** The files that it works on; `mark` tells this workspace from others. */
export const busyWorkspace = (workspace: string, mark: string | number): string => {
  mkdirSync(workspace, { recursive: true });
  eachFile((n) => writeFileSync(join(workspace, `f${n}.txt`), `before ${mark} ${n}\nw${n}\n`));
  return workspace;
};
