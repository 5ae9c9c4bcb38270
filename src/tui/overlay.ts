import type { Key } from './keys.ts';
import { cropped, type Row, textWidth } from './text.ts';

/** Something over the conversation, until it is closed. */
export interface Overlay {
  /** True when the key was for it; what it does not take closes it, or does what it does elsewhere. */
  key(key: Key): boolean;
  /** At most `height` rows of at most `width` columns. */
  rows(width: number, height: number, nowMs: number): Row[];
  /** Whether letters are written into it. */
  readonly writes?: boolean;
  /** What is pasted goes into what is written in it; without this it is nobody's. */
  paste?(text: string): void;
  /** Esc: true when there was something of its own to close. */
  back?(): boolean;
  /** Ends what it has begun. */
  close?(): void;
}

/** The line at the top of an overlay. */
export const ruleTitle = (title: string, width: number): string => {
  const head = cropped(`── ${title} `, width);
  return head + '─'.repeat(Math.max(0, width - textWidth(head)));
};
