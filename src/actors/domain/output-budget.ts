import type { OutputPiece, OutputStream } from '../../protocol/background.ts';
import { deltaGate, split } from './delta-gate.ts';

export interface OutputBounds {
  tokenCharsMax: number;
  backgroundOutputCharsMax: number;
  backgroundTailCharsMax: number;
}

/** What a chunk costs besides its text. */
const CHUNK_CHARS = 256;

/** What earlier daemons have used up, and whether they have said so. */
export interface BudgetUsed {
  room: number;
  isTold: boolean;
}

/** `used` with these pieces too. */
export const addUsed = (used: BudgetUsed, pieces: readonly OutputPiece[]): BudgetUsed => ({
  room: used.room + pieces.reduce((sum, { text }) => sum + text.length + CHUNK_CHARS, 0),
  isTold: used.isTold || pieces.some(({ truncated }) => truncated === true),
});

/**
 * What is kept of the output of one process ([SV3]): the first of it as it comes, then only the last words of each stream, which
 * are told at the end, with how much was left out before them.
 */
export const outputBudget = (bounds: OutputBounds, used: BudgetUsed = { room: 0, isTold: false }) => {
  const gate = deltaGate<OutputStream>(bounds.tokenCharsMax);
  const tail = { stdout: { text: '', chars: 0 }, stderr: { text: '', chars: 0 } };
  let told = used.isTold;
  // The piece that says that there is no more has a character of its own, which may be two units.
  let room = told ? 0 : Math.max(2, bounds.backgroundOutputCharsMax - used.room);
  return {
    push(stream: OutputStream, text: string): void {
      const [fits = ''] = room > 0 ? split(text.slice(0, room + 1), room) : [];
      gate.push(stream, fits);
      room -= fits.length + (fits === '' ? 0 : CHUNK_CHARS);
      const rest = text.slice(fits.length);
      const last = tail[stream];
      last.chars += rest.length;
      // A cut must not leave half of a surrogate pair.
      last.text = (last.text + rest).slice(-bounds.backgroundTailCharsMax).replace(/^[\udc00-\udfff]/, '');
    },
    /** Takes what may be told now. The piece that uses up the room says so. */
    cut(): OutputPiece[] {
      const pieces = gate
        .cut()
        .flatMap(({ kind, texts }) => texts.map((text): OutputPiece => ({ stream: kind, text })));
      const last = pieces.at(-1);
      if (room > 0 || told || !last) return pieces;
      told = true;
      return [...pieces.slice(0, -1), { ...last, truncated: true }];
    },
    /** Takes the last words. */
    end: (): OutputPiece[] =>
      (['stdout', 'stderr'] as const).flatMap((stream) => {
        const { text, chars } = tail[stream];
        const leftOut = chars - text.length;
        return (text === '' ? [] : split(text, bounds.tokenCharsMax)).map((part, i) => ({
          stream,
          text: part,
          ...(i === 0 && leftOut > 0 ? { leftOut } : {}),
        }));
      }),
    /** Characters that wait to be told now. */
    get size() {
      return gate.size;
    },
  };
};
