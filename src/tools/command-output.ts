import { createHash, randomBytes } from 'node:crypto';
import { createWriteStream, mkdirSync, readdirSync, rmSync, statSync, type WriteStream } from 'node:fs';
import { join } from 'node:path';
import { LIMITS } from '../actors/limits.ts';

/**
 * The output of one command: the first and the last of it in memory, all of it up to a bound in a file that only this session can
 * read ([TL6]). What is shown never grows beyond its bounds, whatever the command writes.
 */
export interface CommandOutput {
  push(text: string): void;
  /** More than is kept waits to be written to the file. */
  readonly isBehind: boolean;
  onCaughtUp: () => void;
  /** What the model is shown, and how many bytes there were when that is not all. */
  end(): { text: string; totalBytes: number; isCut: boolean; ref: string | null };
}

const HALF = LIMITS.commandShownBytesMax / 2;
/** Waiting for the disk; above it the command is not read. */
const BEHIND_BYTES = 1 << 20;

export const outputFolder = (dir: string, sessionId: string): string =>
  join(dir, createHash('sha256').update(sessionId).digest('hex').slice(0, 32));

export const commandOutput = (dir: string | null, sessionId: string): CommandOutput => {
  let head = '';
  let tail = '';
  let totalBytes = 0;
  let filedBytes = 0;
  let file: WriteStream | null = null;
  let ref: string | null = null;
  let failed = dir === null;

  const spill = (text: string): void => {
    if (failed || dir === null) return;
    if (file === null) {
      ref = randomBytes(6).toString('hex');
      try {
        file = openSpill(dir, sessionId, ref);
      } catch {
        failed = true;
        return;
      }
      // A full disk costs the rest of the file, not the command.
      file.on('error', () => {
        failed = true;
      });
      file.on('drain', () => out.onCaughtUp());
      file.write(head);
      filedBytes = Buffer.byteLength(head);
    }
    const room = LIMITS.commandOutputBytesMax - filedBytes;
    if (room <= 0) return;
    const part = text.slice(0, room);
    filedBytes += Buffer.byteLength(part);
    file.write(part);
  };

  const out: CommandOutput = {
    onCaughtUp: () => undefined,
    get isBehind() {
      return !failed && file !== null && file.writableLength > BEHIND_BYTES;
    },
    push(text) {
      totalBytes += Buffer.byteLength(text);
      const fits = text.slice(0, Math.max(0, HALF - head.length));
      if (file === null && totalBytes > LIMITS.commandShownBytesMax) spill(tail + text);
      else if (file !== null) spill(text);
      head += fits;
      tail = (tail + text.slice(fits.length)).slice(-HALF);
    },
    end() {
      file?.end();
      const isCut = totalBytes > LIMITS.commandShownBytesMax;
      if (!isCut) return { text: head + tail, totalBytes, isCut, ref: null };
      const [first, last] = [whole(head), tail.replace(/^[\udc00-\udfff]/, '')];
      const shown = Buffer.byteLength(first) + Buffer.byteLength(last);
      const gap = `\n[… ${totalBytes - shown} of ${totalBytes} bytes are left out here …]\n`;
      return { text: `${first}${gap}${last}`, totalBytes, isCut, ref: failed ? null : ref };
    },
  };
  return out;
};

const whole = (text: string): string => text.replace(/[\ud800-\udbff]$/, '');

const openSpill = (dir: string, sessionId: string, ref: string): WriteStream => {
  sweepOutputs(dir);
  const folder = outputFolder(dir, sessionId);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  return createWriteStream(join(folder, ref), { flags: 'wx', mode: 0o600, highWaterMark: 64 * 1024 });
};

/** Removes what is old, and the oldest while all of it together is too much. */
export const sweepOutputs = (dir: string, nowMs: number = Date.now()): void => {
  const files = listOf(dir).flatMap((folder) =>
    listOf(join(dir, folder)).flatMap((name) => {
      const path = join(dir, folder, name);
      const stat = statSync(path, { throwIfNoEntry: false });
      return stat ? [{ path, bytes: stat.size, at: stat.mtimeMs }] : [];
    }),
  );
  let room = LIMITS.outputsBytesMax - LIMITS.commandOutputBytesMax;
  for (const { path, bytes, at } of files.sort((a, b) => b.at - a.at)) {
    room -= bytes;
    if (room < 0 || at < nowMs - LIMITS.outputsKeptMs) rmSync(path, { force: true });
  }
};

const listOf = (dir: string): string[] => {
  try {
    return readdirSync(dir);
  } catch {
    // Nothing was ever kept.
    return [];
  }
};
