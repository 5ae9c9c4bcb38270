import { embed, rerank } from '../../operations/inference.ts';
import type { Context } from '../context.ts';
import { EXIT, reportFailure, UsageError } from '../exit.ts';
import { type HostOptions, withHost } from '../inference-host.ts';
import { oneLine } from '../output.ts';
import { readTask } from '../stdin.ts';
import { anyText } from './models-text.ts';

export interface EmbedOptions extends HostOptions {
  model?: string;
  json?: boolean;
}

const textOf = (words: readonly string[]): Promise<string> => {
  if (words.join('').trim() === '') throw new UsageError('No text specified');
  return readTask(words);
};

export const embedCommand = async (ctx: Context, words: readonly string[], options: EmbedOptions): Promise<number> => {
  try {
    const input = await textOf(words);
    const body = await withHost(ctx, options, ({ world }) => embed(world, input, options.model));
    if (options.json) ctx.output.pretty(body);
    else ctx.output.out(`${vectorText(body)}\n`);
    return EXIT.ok;
  } catch (cause) {
    return reportFailure(ctx.output, cause, options.json ?? false);
  }
};

/** The figures of each vector on a line, as programs that read lines want them. */
const vectorText = (body: object): string => {
  const { data } = body as { data?: unknown };
  if (!Array.isArray(data)) return anyText(body);
  const vectors = data.map((row: { embedding?: unknown }) => row.embedding);
  return vectors.map((v) => (Array.isArray(v) ? v.join(' ') : anyText(v))).join('\n');
};

export interface RerankOptions extends EmbedOptions {
  documents: string;
  topK?: number;
}

export const rerankCommand = async (
  ctx: Context,
  words: readonly string[],
  options: RerankOptions,
): Promise<number> => {
  try {
    const documents = options.documents.split('|').flatMap((text) => (text.trim() === '' ? [] : [text.trim()]));
    if (documents.length === 0) throw new UsageError('--documents needs texts with | between them');
    const query = await textOf(words);
    const { model, topK } = options;
    const body = await withHost(ctx, options, ({ world }) => rerank(world, { query, documents, model, topK }));
    if (options.json) ctx.output.pretty(body);
    else ctx.output.out(`${orderText(body, documents)}\n`);
    return EXIT.ok;
  } catch (cause) {
    return reportFailure(ctx.output, cause, options.json ?? false);
  }
};

const orderText = (body: object, documents: readonly string[]): string => {
  const { results } = body as { results?: unknown };
  if (!Array.isArray(results)) return anyText(body);
  return results
    .map((r: { index?: number; relevance_score?: number }) => {
      const score = typeof r.relevance_score === 'number' ? r.relevance_score.toFixed(4) : '-';
      return `${score}  ${oneLine(documents[r.index ?? -1] ?? '')}`;
    })
    .join('\n');
};
