import type { DiffOptions, InitOptions } from '../commands/project.ts';
import type { Family } from './family.ts';

/** `opta init` and `opta diff`. */
export const addProject: Family = (program, ctx, done) => {
  program
    .command('init')
    .description('begin a project here: .opta/config.json and AGENTS.md')
    .option('-y, --yes', 'ask nothing')
    .option('--force', 'replace what is there')
    .option('--json', 'as JSON')
    .action(async (options: InitOptions) => {
      const { initCommand } = await import('../commands/project.ts');
      done(await initCommand(ctx, options));
    });
  program
    .command('diff')
    .description('what is not committed here')
    .option('-s, --session <id>', 'only of what this session wrote')
    .option('--json', 'as JSON')
    .action(async (options: DiffOptions) => {
      const { diffCommand } = await import('../commands/project.ts');
      done(await diffCommand(ctx, options));
    });
};
