import type { Command } from 'commander';
import type { EmbedOptions, RerankOptions } from '../commands/embed.ts';
import type { ModelsOptions } from '../commands/models.ts';
import type { Context } from '../context.ts';
import { parseCount } from '../options.ts';
import type { Done } from './family.ts';

const DEVICE = ['--device <host[:port]>', 'inference host, when this command starts the daemon'] as const;
const REMOTE = ['--remote', 'the configured inference host and no other'] as const;

export const addModels = (program: Command, ctx: Context, done: Done): void => {
  program
    .command('models')
    .description('models of the inference host: list, use, load, unload, swap, info, dashboard …')
    .argument('[action]', 'what to do; opta models help lists all')
    .argument('[args...]', 'model names, whole or in part')
    .option(...DEVICE)
    .option(...REMOTE)
    .option('--backend <name>', 'load: auto, mlx-lm, vllm-mlx or gguf')
    .option('--json', 'as JSON')
    .option('--full', 'list: also what is only on the disk of the host')
    .option('--ready', 'health: whether it can serve; exit 1 when it cannot')
    .option('--admin', 'health: what it says to administrators')
    .action(async (action: string | undefined, args: string[], options: ModelsOptions) => {
      const { modelsCommand } = await import('../commands/models.ts');
      done(await modelsCommand(ctx, action, args, options));
    });
  program
    .command('embed')
    .description('the vector of a text; "-" reads it from standard input')
    .argument('<text...>', 'the text, in words')
    .option('-m, --model <name>', 'model for vectors')
    .option(...DEVICE)
    .option(...REMOTE)
    .option('--json', "the server's answer, unchanged")
    .action(async (words: string[], options: EmbedOptions) => {
      const { embedCommand } = await import('../commands/embed.ts');
      done(await embedCommand(ctx, words, options));
    });
  program
    .command('rerank')
    .description('order documents by how well they fit a query')
    .argument('<query...>', 'the query, in words')
    .requiredOption('-d, --documents <texts>', 'documents with | between them')
    .option('-m, --model <name>', 'model that ranks')
    .option(...DEVICE)
    .option(...REMOTE)
    .option('-k, --top-k <n>', 'only the best n', parseCount('--top-k', 1_000))
    .option('--json', "the server's answer, unchanged")
    .action(async (words: string[], options: RerankOptions) => {
      const { rerankCommand } = await import('../commands/embed.ts');
      done(await rerankCommand(ctx, words, options));
    });
  program
    .command('serve')
    .description('whether the inference server runs; to run one: opta lmx serve')
    .argument('[action]', 'status; start, stop, restart and logs are not part of this build', 'status')
    .option('--json', 'as JSON')
    .action(async (action: string, options: { json?: boolean }) => {
      const { serveCommand } = await import('../commands/serve.ts');
      done(await serveCommand(ctx, action, options));
    });
};
