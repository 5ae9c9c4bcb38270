import { LIMITS } from '../actors/limits.ts';

/** The modes that offer them: what they do cannot be seen, so no mode that only reads does ([PM4]). */
export const WRITING_MODES: ReadonlySet<string> = new Set(['chat', 'do']);

/** Arguments of a tool that is not ours, as far as we understand them: a JSON object. A string is the error for the model. */
export const objectArgs = (
  text: string,
  bytesMax: number = LIMITS.toolArgsBytesMax,
): { [key: string]: unknown } | string => {
  if (Buffer.byteLength(text) > bytesMax) return `Error (payload-too-large): the arguments exceed ${bytesMax} bytes`;
  let args: unknown;
  try {
    args = text.trim() === '' ? {} : JSON.parse(text);
  } catch {
    return 'Error (invalid-json): the arguments are not JSON';
  }
  return typeof args === 'object' && args !== null && !Array.isArray(args)
    ? (args as { [key: string]: unknown })
    : 'Error (invalid-request): the arguments must be an object';
};
