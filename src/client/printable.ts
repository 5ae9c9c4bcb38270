/**
 * Text of a model or a file, made safe for a terminal: control characters other than tab and newline could move the cursor,
 * rewrite what a person reads before allowing a call, or set the clipboard; marks of writing direction could make it read as
 * something else.
 */
export const printable = (text: string): string =>
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is being removed
  text.replace(/\r\n/g, '\n').replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g, '\uFFFD');

/** The same on one line of at most `max` characters. */
export const oneLine = (text: string, max = 160): string => {
  const line = printable(text).replace(/\s+/g, ' ').trim();
  return line.length <= max ? line : `${line.slice(0, max - 1)}…`;
};
