import { emitKeypressEvents, type Interface } from 'node:readline';

export interface Key {
  /** `return`, `escape`, `pageup`, `f1`, a letter …; '' for a sign without a name. */
  name: string;
  ctrl: boolean;
  meta: boolean;
  shift: boolean;
  /** What it writes, if it writes something. */
  text: string;
}

export interface KeyListener {
  key(key: Key): void;
  paste(text: string): void;
}

/** Between an escape and what may follow it in one sequence. */
const ESCAPE_MS = 50;
const PASTE_CHARS_MAX = 1 << 20;

interface Raw {
  sequence: string;
  name?: string;
  ctrl: boolean;
  meta: boolean;
  shift: boolean;
}

/** Reads keys until it is undone. A paste comes in one piece: no line end in it is Enter. */
export const listenKeys = (input: NodeJS.ReadStream, on: KeyListener): (() => void) => {
  let pasted: string | null = null;
  const take = (text: string | undefined, raw: Raw): void => {
    if (raw.name === 'paste-start') {
      pasted = '';
    } else if (raw.name === 'paste-end') {
      if (pasted !== null) on.paste(pasted);
      pasted = null;
    } else if (pasted !== null) {
      const part = raw.name === 'return' || raw.name === 'enter' ? '\n' : (text ?? '');
      if (pasted.length < PASTE_CHARS_MAX) pasted += part;
    } else {
      on.key(keyOf(text, raw));
    }
  };
  emitKeypressEvents(input, { escapeCodeTimeout: ESCAPE_MS } as unknown as Interface);
  input.on('keypress', take);
  input.setRawMode?.(true);
  input.resume();
  return () => {
    input.removeListener('keypress', take);
    input.setRawMode?.(false);
    input.pause();
  };
};

const keyOf = (text: string | undefined, { name = '', ctrl, meta, shift, sequence }: Raw): Key => {
  // Ctrl+/ has no name of its own.
  if (sequence === '\u001f') return { name: '/', ctrl: true, meta: false, shift: false, text: '' };
  const writes = text !== undefined && !ctrl && !meta && text >= ' ' && text !== '\u007f';
  return { name: name === 'undefined' ? '' : name, ctrl, meta, shift, text: writes ? text : '' };
};
