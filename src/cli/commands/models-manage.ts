import { listModels } from '../../operations/models-read.ts';
import { question } from '../ask.ts';
import { EXIT, Exit } from '../exit.ts';
import { withHost } from '../inference-host.ts';
import type { Action } from './models.ts';
import { CHANGES } from './models-change.ts';
import { choose } from './models-pick.ts';
import { listText } from './models-text.ts';

const KEYS: { readonly [key: string]: string } = { u: 'use', l: 'load', x: 'unload', d: 'delete' };

/** A person chooses a model, then what is done with it. */
export const manageModels: Action = async (asked) => {
  const { ctx, options } = asked;
  const rows = await withHost(ctx, options, ({ world }) => listModels(world, true));
  ctx.output.err(`${listText(rows)}\n\n`);
  if (rows.length === 0) return { body: rows, text: '' };
  const id = await choose(
    ctx,
    rows.map((row) => row.id),
  );
  const key = (await question('u use · l load · x unload · d delete · Enter to leave: '))?.trim().toLowerCase() ?? '';
  const action = CHANGES[KEYS[key] ?? ''];
  if (action === undefined) throw new Exit(EXIT.interrupted);
  return action({ ...asked, args: [id] });
};
