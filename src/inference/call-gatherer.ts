import { LIMITS } from '../actors/limits.ts';
import type { RequestedCall } from '../actors/ports.ts';
import { OptaError } from '../protocol/errors.ts';

/** A piece of a tool call as a wire brings it. Every field may be missing; `args` are appended. */
export interface CallPart {
  index?: number;
  id?: string;
  name?: string;
  args?: string;
}

interface Gathered {
  index: number | undefined;
  id: string;
  name: string;
  args: string;
}

export interface CallGatherer {
  /** Throws `lmx-protocol` over the bounds. */
  add(part: CallPart): void;
  /**
   * The calls of an answer that ended properly, in order, each with an id of its own. Throws `lmx-protocol` when one is not
   * whole. Malformed but finished arguments pass: the tool tells the model what is wrong with them.
   */
  take(idPrefix: string): RequestedCall[];
  /** Some call breaks off in the middle of its arguments. */
  cutOff(): boolean;
}

export const createCallGatherer = (): CallGatherer => {
  const calls: Gathered[] = [];
  let argsBytes = 0;

  // Some servers count every call as index 0 and tell them apart by id alone, others give no index at all.
  const find = (part: CallPart): Gathered | undefined => {
    const known = part.index === undefined ? calls.at(-1) : calls.findLast((c) => c.index === part.index);
    if (part.id && known && known.id !== '' && known.id !== part.id) return calls.find((c) => c.id === part.id);
    const unmarked = part.index === undefined && !part.id;
    return unmarked && part.name && known?.name ? undefined : known;
  };
  const begin = (part: CallPart): Gathered => {
    if (calls.length >= LIMITS.stepCallsMax)
      throw new OptaError('lmx-protocol', `The model asked for more than ${LIMITS.stepCallsMax} tool calls at once.`);
    const call: Gathered = { index: part.index, id: '', name: '', args: '' };
    calls.push(call);
    return call;
  };

  return {
    add: (part) => {
      const call = find(part) ?? begin(part);
      call.id ||= part.id ?? '';
      call.name ||= part.name ?? '';
      if (!part.args) return;
      argsBytes += Buffer.byteLength(part.args);
      if (argsBytes > LIMITS.toolArgsBytesMax)
        throw new OptaError('lmx-protocol', `The arguments of a tool call exceed ${LIMITS.toolArgsBytesMax} bytes.`);
      call.args += part.args;
    },
    cutOff: () => calls.some((c) => c.name === '' || isCutOff(c.args)),
    take: (idPrefix) => {
      const ids = new Set<string>();
      return calls.map(({ id, name, args }, i) => {
        if (name === '') throw new OptaError('lmx-protocol', 'The model asked for a tool call without a name.');
        if (isCutOff(args)) throw new OptaError('lmx-protocol', `The arguments of the call to ${name} break off.`);
        const own = id === '' || ids.has(id) ? `${idPrefix}_${i}` : id;
        ids.add(own);
        return { id: own, name, args: args.trim() === '' ? '{}' : args };
      });
    },
  };
};

/** JSON text that ends inside a string, an object or a list: a part of something, not something wrong. */
export const isCutOff = (json: string): boolean => {
  let depth = 0;
  let quoted = false;
  for (let i = 0; i < json.length; i++) {
    const c = json.charCodeAt(i);
    if (quoted) {
      if (c === 0x5c) i++;
      else if (c === 0x22) quoted = false;
    } else if (c === 0x22) quoted = true;
    else if (c === 0x7b || c === 0x5b) depth++;
    else if (c === 0x7d || c === 0x5d) depth--;
  }
  return quoted || depth > 0;
};
