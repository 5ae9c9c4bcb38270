import type { ComponentChildren } from 'preact';

/** A text in which the places of a searched word stand out. */
export const marked = (text: string, mark: string): ComponentChildren => {
  if (mark === '') return text;
  const low = text.toLowerCase();
  // Lower case may be longer than what it comes from; then places in one are not places in the other.
  if (low.length !== text.length) return text;
  const needle = mark.toLowerCase();
  const parts: ComponentChildren[] = [];
  let from = 0;
  for (let at = low.indexOf(needle); at !== -1; at = low.indexOf(needle, from)) {
    parts.push(text.slice(from, at), <mark key={at}>{text.slice(at, at + needle.length)}</mark>);
    from = at + needle.length;
  }
  return from === 0 ? text : [...parts, text.slice(from)];
};
