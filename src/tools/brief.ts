import { constants } from 'node:fs';
import { type FileHandle, open, realpath } from 'node:fs/promises';
import { join } from 'node:path';
import { LIMITS } from '../actors/limits.ts';
import type { Briefing, Clock, Inference, TurnBrief } from '../actors/ports.ts';
import { printable } from './outcome.ts';

/**
 * What a turn is told of where it is. Rules come from the workspace alone, as text: they are part of what the model reads and widen
 * no right. A file counts when it really lies in the workspace, links resolved, and is plain text.
 */
const RULE_FILES = ['AGENTS.md', join('.opta', 'rules.md'), join('.opta', 'memory.md')];

/** What makes ready what the workspace brings besides its text, within its own time; answers with notes for the model. */
export type OpenWorkspace = (
  scope: { mode: string; workspace: string | undefined },
  ready: (notes: string[]) => void,
) => () => void;

interface BriefingWorld {
  clock: Clock;
  /** As `process.platform` says it. */
  platform: string;
  inference: Pick<Inference, 'contextTokens'>;
  /** Fixed for the life of the daemon: how commands are confined, for one. */
  facts?: () => string[];
  open?: OpenWorkspace;
}

export const createBriefing = ({ clock, platform, inference, facts, open: ready }: BriefingWorld): Briefing => ({
  brief({ mode, model, workspace }, done) {
    let over = false;
    let rules: TurnBrief['rules'] | null = null;
    let notes: string[] | null = ready ? null : [];
    const settle = (): void => {
      if (over || rules === null || notes === null) return;
      over = true;
      const contextTokens = inference.contextTokens?.(model) ?? null;
      const today = new Date(clock.now()).toISOString().slice(0, 10);
      const environment = [`Today is ${today}. The system is ${platform}.`, ...(facts?.() ?? [])];
      done({ rules, notes, environment, ...(contextTokens === null ? {} : { contextTokens }) });
    };
    const giveUp = ready?.({ mode, workspace }, (said) => {
      notes = said;
      settle();
    });
    rulesOf(workspace).then(
      (found) => {
        rules = found;
        settle();
      },
      () => {
        rules = [];
        settle();
      },
    );
    return () => {
      over = true;
      giveUp?.();
    };
  },
});

/** In the order in which they are read: what stands later is nearer to the user. */
export const rulesOf = async (workspace: string | undefined): Promise<TurnBrief['rules']> => {
  if (workspace === undefined) return [];
  const root = await realpath(workspace).catch(() => null);
  if (root === null) return [];
  const texts = await Promise.all(RULE_FILES.map((file) => textOf(root, file).catch(() => null)));
  return texts.flatMap((text, i) => (text === null || text.trim() === '' ? [] : [{ file: RULE_FILES[i] ?? '', text }]));
};

const textOf = async (root: string, file: string): Promise<string | null> => {
  const path = await realpath(join(root, file));
  if (!path.startsWith(root === '/' ? root : `${root}/`)) return null;
  // A FIFO must not hold the reader, and the last name not be a link that was put there meanwhile.
  const handle = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    if (!(await handle.stat()).isFile()) return null;
    return await plainText(handle, file);
  } finally {
    await handle.close();
  }
};

const plainText = async (handle: FileHandle, file: string): Promise<string | null> => {
  const bytes = Buffer.alloc(LIMITS.ruleFileBytesMax + 1);
  let size = 0;
  for (;;) {
    const { bytesRead } = await handle.read(bytes, size, bytes.length - size, size);
    size += bytesRead;
    if (bytesRead === 0 || size === bytes.length) break;
  }
  const isCut = size > LIMITS.ruleFileBytesMax;
  const text = new TextDecoder('utf-8', { ignoreBOM: false }).decode(bytes.subarray(0, isCut ? size - 1 : size));
  if (text.includes('\0')) return null;
  return isCut
    ? `${text}\n[${printable(file)} is longer; only its first ${LIMITS.ruleFileBytesMax} bytes are here]`
    : text;
};
