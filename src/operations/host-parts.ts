import { OptaError } from '../protocol/errors.ts';
import type { LmxOperationId } from '../protocol/operations/lmx.ts';
import { askHost } from './lmx-host.ts';
import type { OperationWorld } from './operation.ts';

/**
 * Parts that an inference host may have beside its models. They are read and passed on as they are; none is run from here. An
 * action is a call without an item, or one that needs it.
 */
interface Part {
  what: string;
  actions: { readonly [action: string]: { call: LmxOperationId; needs?: string } };
  /** What the old CLI could do here besides, and this one does not. */
  left: readonly string[];
}

export const PARTS = {
  predictor: { what: 'a load predictor', actions: { show: { call: 'lmx.predictor' } }, left: [] },
  helpers: { what: 'helper nodes', actions: { list: { call: 'lmx.helpers' } }, left: [] },
  quantize: {
    what: 'quantization',
    actions: { list: { call: 'lmx.quantizations' }, status: { call: 'lmx.quantization', needs: 'a job id' } },
    left: ['start', 'cancel'],
  },
  agents: {
    what: 'agents',
    actions: { list: { call: 'lmx.agents' }, status: { call: 'lmx.agent', needs: 'a run id' } },
    left: ['start', 'events', 'cancel'],
  },
  skills: {
    what: 'skills',
    actions: {
      list: { call: 'lmx.skills' },
      show: { call: 'lmx.skill', needs: 'a name' },
      tools: { call: 'lmx.tools' },
    },
    left: ['run', 'mcp-call', 'openclaw'],
  },
  rag: {
    what: 'collections of documents',
    actions: { collections: { call: 'lmx.collections' } },
    left: ['delete', 'query', 'ingest', 'context'],
  },
} as const satisfies { readonly [name: string]: Part };
export type PartName = keyof typeof PARTS;

/**
 * The host's answer, unchanged. Throws `invalid-request` for an action that is none or lacks its item, `not-in-this-build` for one
 * that is not carried over, and `not-found` where the host has no such part.
 */
export const readPart = async (
  world: OperationWorld,
  name: PartName,
  action?: string,
  item?: string,
): Promise<unknown> => {
  const { what, actions, left }: Part = PARTS[name];
  const chosen = action ?? (Object.keys(actions)[0] as string);
  const row = Object.hasOwn(actions, chosen) ? actions[chosen] : undefined;
  if (row === undefined) throw notOurs(name, chosen, actions, left);
  if (row.needs !== undefined && !item) throw new OptaError('invalid-request', `${name} ${chosen} needs ${row.needs}`);
  try {
    return await askHost(world, row.call, row.needs === undefined ? {} : { params: { id: item ?? '' } });
  } catch (cause) {
    const isAbsent = cause instanceof OptaError && cause.code === 'not-found' && row.needs === undefined;
    if (!isAbsent) throw cause;
    throw new OptaError('not-found', `The inference host has no ${what.replace(/^a /, '')}, or has switched that off`);
  }
};

const notOurs = (name: string, action: string, actions: Part['actions'], left: readonly string[]): OptaError =>
  left.includes(action)
    ? new OptaError(
        'not-in-this-build',
        `"models ${name} ${action}" is not part of this build: use the API of the inference host`,
      )
    : new OptaError('invalid-request', `Unknown action "${action}": ${Object.keys(actions).join(', ')}`);
