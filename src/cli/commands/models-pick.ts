import { matchModels } from '../../operations/model-names.ts';
import { OptaError } from '../../protocol/errors.ts';
import { question } from '../ask.ts';
import type { Context } from '../context.ts';
import { EXIT, Exit, UsageError } from '../exit.ts';
import { canAsk, oneLine } from '../output.ts';

const SHOWN_MAX = 50;

/**
 * The name as it was given, where a person need not be asked: for none, and for one that fits several, they choose. Without a
 * terminal nobody is asked; the operation itself then says what is ambiguous. Leaving the list is exit 130.
 */
export const pickModel = async (
  ctx: Context,
  given: string,
  action: string,
  json: boolean | undefined,
  among: () => Promise<string[]>,
): Promise<string> => {
  const mayAsk = !json && canAsk(ctx.env);
  if (given.trim() === '' && !mayAsk) throw new UsageError(`models ${action} needs a model name`);
  if (!mayAsk) return given;
  const all = await among();
  const ids = given.trim() === '' ? all : matchModels(given, all).ids;
  if (given.trim() !== '' && ids.length <= 1) return given;
  if (ids.length === 0) throw new OptaError('not-found', `There is no model to ${action}`);
  return choose(ctx, ids);
};

/** One of these; throws exit 130 when the person leaves. */
export const choose = async (ctx: Context, ids: readonly string[]): Promise<string> => {
  const shown = ids.slice(0, SHOWN_MAX);
  const lines = shown.map((id, i) => `${String(i + 1).padStart(3)}  ${oneLine(id)}`);
  const more =
    ids.length > shown.length ? `\n     … and ${ids.length - shown.length} more: give a part of the name` : '';
  ctx.output.err(`${lines.join('\n')}${more}\n`);
  const answer = (await question('Number, or Enter to leave: '))?.trim() ?? '';
  const chosen = /^\d+$/.test(answer) ? shown[Number(answer) - 1] : undefined;
  if (chosen === undefined) throw new Exit(EXIT.interrupted);
  return chosen;
};
