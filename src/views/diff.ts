/** One line of a change as it is shown before it is allowed. */
export interface DiffLine {
  kind: 'added' | 'removed' | 'same' | 'place' | 'file';
  /** Without the sign in front. */
  text: string;
}

/** True for text in the form of a unified diff, or of the daemon's previews: lines of which the first sign says what happens to them. */
export const isDiff = (text: string): boolean =>
  /^(?:@@ |--- |\+\+\+ |[+-][^\n]*\n?)/.test(text) && /^[+-]/m.test(text);

export const diffLines = (text: string): DiffLine[] =>
  text.split('\n').map((line): DiffLine => {
    if (/^(?:--- |\+\+\+ )/.test(line)) return { kind: 'file', text: line };
    if (line.startsWith('@@')) return { kind: 'place', text: line };
    if (line.startsWith('+')) return { kind: 'added', text: line.slice(1) };
    if (line.startsWith('-')) return { kind: 'removed', text: line.slice(1) };
    return { kind: 'same', text: line.startsWith(' ') ? line.slice(1) : line };
  });
