import { printable } from './outcome.ts';

export interface Memory {
  content: string;
  category?: string | undefined;
}

/** Where a workspace keeps what is to be remembered of it. */
export const MEMORY_FILE = '.opta/memory.md';

/** What is remembered, without its date, in one line: nothing in it can begin another. */
export const memoryText = ({ content, category }: Memory): string => {
  const one = (text: string): string => printable(text.replace(/\s+/g, ' ').trim());
  return category === undefined ? one(content) : `[${one(category)}] ${one(content)}`;
};
