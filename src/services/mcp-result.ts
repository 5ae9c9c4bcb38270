import { LIMITS } from '../actors/limits.ts';
import type { ToolResult } from '../actors/ports.ts';
import { Output } from '../tools/outcome.ts';

/** What a server answered, as text within the bound; what is no text is named by its kind and size. */
export const resultOf = (said: {
  content?: readonly { type: string; [field: string]: unknown }[];
  structuredContent?: unknown;
  isError?: boolean | undefined;
}): ToolResult => {
  const output = new Output(LIMITS.toolOutputBytesMax);
  const parts = said.content ?? [];
  for (const [i, part] of parts.entries()) output.add(`${i === 0 ? '' : '\n'}${textOf(part)}`);
  if (parts.length === 0 && said.structuredContent !== undefined) output.add(JSON.stringify(said.structuredContent));
  const { result, truncatedFrom } = output.done();
  const text = result === '' ? '[the server answered nothing]' : result;
  return { result: text, isError: said.isError === true, ...(truncatedFrom === undefined ? {} : { truncatedFrom }) };
};

const textOf = (part: { type: string; [field: string]: unknown }): string => {
  if (part.type === 'text') return String(part.text ?? '');
  const { resource } = part as { resource?: { text?: unknown; uri?: unknown; mimeType?: unknown } };
  if (typeof resource?.text === 'string') return resource.text;
  const size = typeof part.data === 'string' ? `, ${part.data.length} characters` : '';
  const kind = part.mimeType ?? resource?.mimeType ?? part.uri ?? resource?.uri ?? '';
  return `[${part.type}${kind === '' ? '' : ` ${String(kind)}`}${size}: not shown]`;
};
